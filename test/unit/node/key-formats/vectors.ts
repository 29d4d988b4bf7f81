import { readFileSync } from "node:fs";
import { join } from "node:path";

interface Argon2Box {
  readonly source: string;
  readonly json: { readonly data: { readonly aopts: { readonly memory: number } }; readonly type: string };
  readonly password: string;
  readonly priv_b64: string;
  readonly pub_b64: string;
}

interface NodeKeyVectors {
  readonly keystore: readonly {
    readonly source: string;
    readonly name: string;
    readonly json: Readonly<Record<string, unknown>>;
    readonly password: string;
    readonly priv: string;
    readonly address?: string;
  }[];
  readonly nodekey: readonly {
    readonly source: string;
    readonly file_bytes: string;
    readonly priv: string;
    readonly enode_pub: string;
    readonly enode_id_v4: string;
    readonly istanbul_validator_address: string;
  }[];
  readonly nacl: readonly { readonly name: string; readonly key_file: string; readonly pub_file: string }[];
  readonly argon2sbox: readonly Argon2Box[];
}

/** Published key files of real programs, with their answers; each names its source. */
export const nodeKeyVectors: NodeKeyVectors = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../../vectors/node-keys.json"), "utf8"),
);
