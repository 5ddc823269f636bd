"use server";

import { revalidatePath } from "next/cache";
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { tasksFor } from "@/lib/tasks-server";
import { type FieldError, isInvalid, isSignedOut } from "@/lib/taskward";

export interface Added {
  readonly title: string;
  readonly errors: readonly FieldError[];
}

/** In production an error reaches the page as "an error occurred". So a validation error is returned as data. */
export async function addTask(_: Added, form: FormData): Promise<Added> {
  const title = String(form.get("title") ?? "");
  try {
    await tasksFor(await headers()).create({ title });
  } catch (error) {
    if (isSignedOut(error)) redirect("/sign-in");
    if (isInvalid(error)) return { title, errors: error.errors };
    throw error;
  }
  revalidatePath("/tasks");
  redirect("/tasks");
}
