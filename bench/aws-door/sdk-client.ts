/** One client with the AWS SDK: decrypts again and again, one request at a time, and reports how long each took. */
import { DecryptCommand, KMSClient } from "@aws-sdk/client-kms";
import type { SdkAccess } from "./key-manager.ts";

export interface SdkOrder extends SdkAccess {
  readonly ciphertextBase64: string;
  readonly context: Readonly<Record<string, string>>;
  /** Requests that are measured; those of the first tenth, sent before, are not. */
  readonly requests: number;
}

export interface SdkReport {
  readonly latenciesMs: readonly number[];
}

async function run({ ciphertextBase64, context, requests, ...access }: SdkOrder): Promise<SdkReport> {
  const client = new KMSClient({ ...access, maxAttempts: 1 });
  const input = { CiphertextBlob: Buffer.from(ciphertextBase64, "base64"), EncryptionContext: { ...context } };
  for (let count = 0; count < requests / 10; count++) await client.send(new DecryptCommand(input));
  const latenciesMs: number[] = [];
  for (let count = 0; count < requests; count++) {
    const startedMs = performance.now();
    await client.send(new DecryptCommand(input));
    latenciesMs.push(performance.now() - startedMs);
  }
  client.destroy();
  return { latenciesMs };
}

process.on("message", (order: SdkOrder) => {
  run(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      process.stderr.write(`sdk client: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});
process.once("disconnect", () => process.exit());
