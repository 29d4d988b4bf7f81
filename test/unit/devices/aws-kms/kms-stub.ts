/** A fake KMS on loopback that answers what a test tells it to. It is no KMS: it checks nothing. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { AwsKmsClient, type AwsKmsTimes } from "../../../../src/devices/aws-kms/client.ts";
import type { AwsKmsSettings } from "../../../../src/devices/aws-kms/settings.ts";

export const plantedSecret = "PLANTED/secret/access/key+0123456789abcd";

export interface StubRequest {
  readonly target: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

type Answer = (request: StubRequest, response: ServerResponse) => void;

/** An error as AWS's JSON protocol tells it. The message must never come through. */
export function awsError(name: string, status = 400): Answer {
  return (_, response) => {
    response.writeHead(status, { "content-type": "application/x-amz-json-1.1" });
    response.end(JSON.stringify({ __type: name, message: "what the peer says" }));
  };
}

export function json(value: unknown): Answer {
  return (_, response) => {
    response.writeHead(200, { "content-type": "application/x-amz-json-1.1" });
    response.end(typeof value === "string" ? value : JSON.stringify(value));
  };
}

export class KmsStub implements AsyncDisposable {
  readonly requests: StubRequest[] = [];
  answer: Answer = json({});
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((message, response) => {
      let body = "";
      message.on("data", (piece) => (body += String(piece)));
      message.on("end", () => {
        const request = { target: String(message.headers["x-amz-target"]), headers: message.headers, body };
        this.requests.push(request);
        this.answer(request, response);
      });
    });
  }

  static async start(answer?: Answer): Promise<KmsStub> {
    const stub = new KmsStub();
    if (answer !== undefined) stub.answer = answer;
    await new Promise<void>((resolve) => stub.#server.listen(0, "127.0.0.1", resolve));
    return stub;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The caller disposes of it. */
  client(times: AwsKmsTimes = {}, settings: Partial<AwsKmsSettings> = {}): AwsKmsClient {
    using secret = SecretBuffer.take(Buffer.from(plantedSecret));
    return new AwsKmsClient(
      {
        region: "eu-west-1",
        apiKey: "AKIAEXAMPLE123456789",
        masterKey: "alias/kaleido",
        endpoint: this.endpoint,
        ...settings,
      },
      secret,
      times,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
