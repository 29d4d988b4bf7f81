import { parseArgs } from "node:util";
import { generateKeyPair } from "../../crypto/curve.ts";
import { type PrivateKeyForm, sealPrivateKey } from "../../database/gm/private-key.ts";
import { formatPublicKey } from "../../database/gm/public-key.ts";
import type { Tell } from "../drop-in.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { advisedPincodeBytes, pincodeArguments, readNewPincode } from "./pincode.ts";

export const genkeypairUsage = `Usage: fctools gm genkeypair [options]

Makes an SM2 master key. Asks twice for the pincode that the private key is encrypted under.

  --pincode-file FILE  read the pincode from FILE (mode 0600 or 0400, yours) instead of the terminal
  --pincode-fd N       read it from the open file descriptor N
  --format v1|v2       v1 (default): 64 hex digits, as fctools prints them. v2, which is advised: a container with a salt
                       of its own, and authenticated
  --json               print {"publicKey", "privateKey"}

Example:
  fctools gm genkeypair --format v2`;

/** `fctools gm genkeypair`. @throws {CommandFailure} 2. */
export async function genkeypair(args: readonly string[], tell: Tell): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...pincodeArguments,
      format: { type: "string", default: "v1" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return void process.stdout.write(`${genkeypairUsage}\n`);
  const form = formOf(values.format);
  using pincode = await readNewPincode(values);
  if (pincode.byteLength < advisedPincodeBytes)
    tell(
      `warning: the pincode is short: whoever has the private key's text can find it by trying; take ${advisedPincodeBytes} characters or more`,
    );
  const pair = generateKeyPair("sm2");
  using scalar = pair.scalar;
  const privateKey = await sealPrivateKey({ scalar, publicKey: pair.publicKey, pincode }, form);
  const publicKey = formatPublicKey(pair.publicKey);
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ publicKey, privateKey }, undefined, 2)}\n`
      : `public key:   ${publicKey}\nprivate key:  ${privateKey}\nnote: private key is encrypted by pincode\n`,
  );
}

function formOf(text: string): PrivateKeyForm {
  if (text === "v1" || text === "v2") return text;
  throw new CommandFailure(exitCodes.usage, `--format takes v1 or v2, not ${JSON.stringify(text.slice(0, 40))}`);
}
