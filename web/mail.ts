/** Mail to people. Without a mail service it is printed, so that its links can be opened while one tries things out. */

import { LastingCounts } from "./lasting-counts.ts";
import { toPlainText } from "./log.ts";

export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

export type SendMail = (mail: Mail) => Promise<void>;

const MARK = "mail | "; // begins each printed line: `make run` shows these lines of the log

/** Seconds. A link in a mail works for as long: strangers who use up the mails of an address leave its owner one. */
export const MAIL_WINDOW = 60 * 60;

const LINE_MAX = 2_000; // characters: a link holds what a client sends

const PER_RECIPIENT = { max: 5, window: MAIL_WINDOW }; // of one subject: anybody can have mail sent to any address

/** Bounds what one address is sent. */
export function limitMails(send: SendMail): SendMail {
  const sent = new LastingCounts(PER_RECIPIENT);
  return async (mail) => {
    if (sent.take(`${mail.subject} ${mail.to}`) === 0) await send(mail);
  };
}

/** The place to call your mail service. */
export const printMail: SendMail = async ({ to, subject, text }) => {
  const lines = [`To: ${to}`, `Subject: ${subject}`, "", ...text.split("\n")];
  console.log(lines.map((line) => MARK + toPlainText(line, LINE_MAX)).join("\n"));
};
