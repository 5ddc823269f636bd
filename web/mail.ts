/** Sends mail to people. Here it is only printed, so you can open its links when you try things out. */

import { LastingCounts } from "./lasting-counts.ts";
import { toPlainText } from "./log.ts";

export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

export type SendMail = (mail: Mail) => Promise<void>;

const LINE_PREFIX = "mail | "; // of each printed line: `make run` shows these lines of the log

/** Seconds of a mail quota and of a link. So if strangers use up an address's quota, its owner still has a valid link. */
export const MAIL_WINDOW = 60 * 60;

const LINE_MAX = 2_000; // characters, because a link contains text of the client

const PER_RECIPIENT = { max: 5, window: MAIL_WINDOW }; // mails of one subject, because anybody can cause mails to any address

/** Returns a function that sends mails, and drops those over the quota of their recipient. */
export function limitMails(send: SendMail): SendMail {
  const sent = new LastingCounts(PER_RECIPIENT);
  return async (mail) => {
    if (sent.take(`${mail.subject} ${mail.to}`) === 0) await send(mail);
  };
}

/** Prints a mail. Replace this function by one that calls your mail service. */
export const printMail: SendMail = async ({ to, subject, text }) => {
  const lines = [`To: ${to}`, `Subject: ${subject}`, "", ...text.split("\n")];
  console.log(lines.map((line) => LINE_PREFIX + toPlainText(line, LINE_MAX)).join("\n"));
};
