// Better Auth as a team may have it: the documentation's, with more ways to sign in. Test code, not documentation.
import { passkey } from "@better-auth/passkey";
import { betterAuth } from "better-auth";
import { genericOAuth } from "better-auth/plugins";
import { auth } from "@/lib/auth";

const provider = process.env.TEST_OAUTH_URL ?? "";

export const teamAuth = betterAuth({
  ...auth.options,
  basePath: "/api/team-auth",
  plugins: [
    ...(auth.options.plugins ?? []),
    passkey(),
    genericOAuth({
      config: [
        {
          providerId: "company",
          clientId: "my-app",
          clientSecret: "not a secret",
          authorizationUrl: `${provider}/authorize`,
          tokenUrl: `${provider}/token`,
          userInfoUrl: `${provider}/userinfo`,
        },
      ],
    }),
  ],
});
