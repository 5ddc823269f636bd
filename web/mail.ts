/** Mail to people. Without a mail service it is printed, so that its links can be opened while one tries things out. */

import { RateLimiter } from "./rate-limiter.ts";

export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

export type SendMail = (mail: Mail) => Promise<void>;

const MARK = "mail | "; // begins each printed line: `make run` shows these lines of the log
const PER_RECIPIENT = { max: 5, window: 60 * 60 }; // anybody can have mail sent to any address: this many of them

/** Bounds what one address is sent. */
export function limitMails(send: SendMail): SendMail {
  const sent = new RateLimiter();
  return async (mail) => {
    if (sent.take(mail.to.toLowerCase(), PER_RECIPIENT) === 0) await send(mail);
  };
}

/** The place to call your mail service. */
export const printMail: SendMail = async ({ to, subject, text }) => {
  const lines = [`To: ${to}`, `Subject: ${subject}`, "", ...text.split("\n")];
  console.log(lines.map((line) => MARK + line).join("\n"));
};
