import { readFileSync } from "node:fs";
import { join } from "node:path";

/** One recorded exchange; `<date>` stands for the HTTP date. */
export interface RecordedExchange {
  readonly name: string;
  readonly source: string;
  readonly request: string;
  readonly response: string;
}

export interface RecordedDataKey {
  readonly id: string;
  readonly mode: "standard" | "sm";
  readonly superKey: string;
  readonly dataKey: string;
  readonly cipherDataKey: string;
  readonly decDataKeyResult: string;
}

export interface RecordedKeyFile {
  readonly id: string;
  readonly mode: "standard" | "sm";
  readonly superKey: string;
  readonly dataKey: string;
  readonly cipherDataKey: string;
  readonly plainPem?: string;
  readonly plainSha256: string;
  readonly encryptedFileText: string;
}

export interface RecordedDatabaseValue {
  readonly id: string;
  readonly format: "v2-raw" | "v3";
  readonly mode: "standard" | "sm";
  readonly dataKey: string;
  readonly valueHex: string;
  readonly storedHex: string;
}

interface Recorded {
  readonly node: readonly RecordedExchange[];
  readonly standard: readonly RecordedExchange[];
  readonly sm: readonly RecordedExchange[];
  readonly cipherDataKeys: readonly RecordedDataKey[];
  readonly nodeKeyFiles: readonly RecordedKeyFile[];
  readonly databaseValues: readonly RecordedDatabaseValue[];
}

/** What the original key manager and nodes were seen to send, answer and write. */
export const recorded: Recorded = JSON.parse(
  readFileSync(join(import.meta.dirname, "../vectors/fisco-wire.json"), "utf8"),
);

/** An answer as it is recorded: the date replaced. */
export function withoutDate(answer: string): string {
  return answer.replace(
    /\r\nDate: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT\r\n/,
    "\r\nDate: <date>\r\n",
  );
}
