import { spawn, spawnSync } from "node:child_process";
import { after, before, describe } from "node:test";
import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { AwsKmsClient } from "../../../src/devices/aws-kms/client.ts";
import { AwsKmsDevice } from "../../../src/devices/aws-kms/device.ts";
import { UpstreamKms } from "../../process/upstream-kms.ts";
import { reservePort } from "../../reserved-ports.ts";
import { type DeviceSubject, deviceContract } from "./device-contract.ts";

function subject(client: AwsKmsClient): DeviceSubject {
  const device = new AwsKmsDevice({ clientOf: () => client });
  return {
    device,
    upstream: { integration: "contract" },
    [Symbol.asyncDispose]: async () => client[Symbol.dispose](),
  };
}

describe("an aws-kms device over another Strongroom", () => {
  let upstream: UpstreamKms;
  before(async () => {
    upstream = await UpstreamKms.start();
  });
  after(() => upstream[Symbol.asyncDispose]());

  deviceContract(async () => {
    using secret = upstream.secret();
    const { apiKey, endpoint } = upstream;
    return subject(new AwsKmsClient({ region: "local", apiKey, masterKey: "alias/kaleido", endpoint }, secret));
  });
});

const hasMoto = spawnSync("python3", ["-c", "import moto.server"], { stdio: "ignore", timeout: 60_000 }).status === 0;

describe("an aws-kms device over moto", () => {
  let moto: ReturnType<typeof spawn> | undefined;
  let endpoint = "";
  let masterKey = "";
  before(async () => {
    if (!hasMoto) return;
    const port = await reservePort();
    endpoint = `http://127.0.0.1:${port}`;
    moto = spawn("python3", ["-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)], { stdio: "ignore" });
    const client = new KMSClient({
      region: "us-east-1",
      endpoint,
      credentials: { accessKeyId: "AKIAEXAMPLE123456789", secretAccessKey: "any secret will do for moto" },
    });
    masterKey = await firstKey(client);
    client.destroy();
  });
  after(async () => {
    if (moto === undefined) return;
    const ended = new Promise((resolve) => moto?.once("close", resolve));
    moto.kill("SIGKILL");
    await ended;
  });

  deviceContract(
    async () => {
      using secret = SecretBuffer.take(Buffer.from("any-secret-will-do-for-moto"));
      const settings = { region: "us-east-1", apiKey: "AKIAEXAMPLE123456789", masterKey, endpoint };
      return subject(new AwsKmsClient(settings, secret));
    },
    hasMoto ? false : "python3 has no moto here",
  );
});

/** Moto takes seconds to listen. */
async function firstKey(client: KMSClient): Promise<string> {
  for (let patience = 120; ; patience--)
    try {
      return (await client.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? "";
    } catch (error) {
      if (patience === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
}
