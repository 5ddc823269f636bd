import { isConflict, isProblem, isSignedOut } from "./taskward";

export function messageOf(error: unknown): string {
  if (isSignedOut(error)) return "Sign in to go on.";
  if (isConflict(error)) return "This task changed meanwhile: look at it, and press again.";
  if (isProblem(error)) return error.detail;
  return error instanceof Error ? error.message : "Something went wrong: try again.";
}
