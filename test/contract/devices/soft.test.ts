import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { RootKey } from "../../../src/devices/root-key.ts";
import { SoftDevice } from "../../../src/devices/soft.ts";
import { deviceContract } from "./device-contract.ts";

describe("a soft device", () => {
  deviceContract(async () => {
    using root = new RootKey(randomUUID(), "intl", SecretBuffer.random(32));
    const device = new SoftDevice(root);
    return { device, [Symbol.asyncDispose]: () => device.lock() };
  });
});
