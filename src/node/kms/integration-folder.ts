import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { AwsKmsError } from "../../devices/aws-kms/errors.ts";
import { openIntegrationSecret, sealIntegrationSecret } from "../../devices/aws-kms/sealed-secret.ts";
import { type AwsKmsSettings, checkSecret, checkSettings } from "../../devices/aws-kms/settings.ts";
import { KeySlots, type SlotKind } from "../../devices/key-slots.ts";
import type { RootKey } from "../../devices/root-key.ts";
import { NodeError } from "../errors.ts";
import { replaceFile, writeNewFile } from "../file-steps.ts";
import { refuseStrangersFolder } from "../identity.ts";

/** An integration as its file tells it: all but the secret. */
export interface StoredIntegration extends AwsKmsSettings {
  readonly name: string;
  readonly createdAt: string;
}

const format = "strongroom-integration/1";
const slotsFile = "root.slots";
const suffix = ".json";
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
const maxFileBytes = 64 * 1024;
const maxNodesNoted = 256;

/**
 * Integrations on a node's host, for the nodes there: a folder (0700) with a root key in key slots, and for each integration
 * one file `NAME.json` that holds its settings, and its secret in a sealed box under the root key.
 */
export class IntegrationFolder {
  readonly #folder: string;

  /** @throws {NodeError} `FILE_UNSAFE` when others can enter the folder. */
  constructor(folder: string) {
    this.#folder = resolve(folder);
    refuseStrangersFolder(this.#folder);
  }

  /**
   * Adds an integration; the first makes the folder and its root key.
   *
   * @param secret - The secret access key; lent, as `unlock` is.
   * @throws {NodeError} `INPUT_INVALID`, `TARGET_EXISTS`. @throws {AwsKmsError} `KMS_SETTINGS_INVALID`.
   * @throws {DeviceError} `UNLOCK_REFUSED`, `UNLOCK_SECRET_UNSAFE`.
   */
  async create(
    name: string,
    given: AwsKmsSettings,
    secret: SecretBuffer,
    unlock: SecretBuffer,
    slotKind: SlotKind,
  ): Promise<StoredIntegration> {
    checkName(name);
    const settings = checkSettings(given);
    checkSecret(secret);
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    chmodSync(this.#folder, 0o700);
    const slots = new KeySlots(join(this.#folder, slotsFile));
    using root = existsSync(join(this.#folder, slotsFile))
      ? await slots.open(unlock)
      : await slots.create("intl", slotKind, unlock, "first");
    const box = sealIntegrationSecret(root, name, settings, secret).toString("base64");
    const stored = { name, ...settings, createdAt: new Date().toISOString() };
    writeNewFile(this.#fileOf(name), Buffer.from(`${JSON.stringify({ format, ...stored, box }, null, 2)}\n`));
    return stored;
  }

  /** All integrations, by name. */
  list(): readonly StoredIntegration[] {
    if (!existsSync(this.#folder)) return [];
    const names = readdirSync(this.#folder).filter((file) => file.endsWith(suffix));
    return names.sort().map((file) => this.describe(file.slice(0, -suffix.length)));
  }

  /** @throws {NodeError} `INTEGRATION_NOT_FOUND`, `INTEGRATION_DAMAGED`. */
  describe(name: string): StoredIntegration {
    const { box: _sealed, ...stored } = this.#read(name);
    return stored;
  }

  /**
   * The settings and the secret. The caller disposes of the secret.
   *
   * @throws {AwsKmsError} `KMS_SETTINGS_TAMPERED` when a setting is another than what was sealed with the secret.
   * @throws {DeviceError} `UNLOCK_REFUSED`, `SLOTS_DAMAGED`.
   */
  async open(
    name: string,
    unlock: SecretBuffer,
  ): Promise<{ readonly settings: AwsKmsSettings; readonly secret: SecretBuffer }> {
    const { box, name: _name, createdAt: _at, ...settings } = this.#read(name);
    using root: RootKey = await new KeySlots(join(this.#folder, slotsFile)).open(unlock);
    return { settings, secret: openIntegrationSecret(root, name, settings, Buffer.from(box, "base64")) };
  }

  delete(name: string): void {
    this.#read(name);
    rmSync(this.#fileOf(name));
    rmSync(this.#nodesFileOf(name), { force: true });
  }

  /** Notes that a node's manifest names the integration, so that {@link nodesOf} can tell. */
  noteNode(name: string, manifestFile: string): void {
    const nodes = [...new Set([...this.nodesOf(name), resolve(manifestFile)])].slice(-maxNodesNoted);
    replaceFile(this.#nodesFileOf(name), Buffer.from(`${nodes.join("\n")}\n`));
  }

  /** Takes back {@link noteNode}, for a node that is no more. */
  forgetNode(name: string, manifestFile: string): void {
    checkName(name);
    const noted = this.nodesOf(name);
    const own = realPlaceOf(manifestFile);
    const nodes = noted.filter((file) => realPlaceOf(file) !== own);
    if (nodes.length === noted.length) return;
    if (nodes.length === 0) rmSync(this.#nodesFileOf(name));
    else replaceFile(this.#nodesFileOf(name), Buffer.from(`${nodes.join("\n")}\n`));
  }

  /** Manifests that were made with the integration on this host; they may be gone, or name another by now. */
  nodesOf(name: string): readonly string[] {
    const file = this.#nodesFileOf(name);
    if (!existsSync(file)) return [];
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  }

  #read(name: string): StoredIntegration & { readonly box: string } {
    checkName(name);
    const file = this.#fileOf(name);
    const size = statSync(file, { throwIfNoEntry: false })?.size;
    if (size === undefined)
      throw new NodeError("INTEGRATION_NOT_FOUND", `there is no integration ${name} in ${this.#folder}`, {
        hint: `strongroom integration list --store ${this.#folder}`,
      });
    try {
      if (size > maxFileBytes) throw new Error("it is too large");
      const { format: found, box, createdAt, name: inside, ...settings } = JSON.parse(readFileSync(file, "utf8"));
      if (found !== format || inside !== name || typeof box !== "string" || typeof createdAt !== "string")
        throw new Error("members are missing or wrong");
      return { name, createdAt, box, ...checkSettings(settings) };
    } catch (cause) {
      const reason = cause instanceof AwsKmsError ? `: ${cause.message}` : "";
      throw new NodeError("INTEGRATION_DAMAGED", `${file} is not the file of an integration${reason}`, { cause });
    }
  }

  #fileOf(name: string): string {
    return join(this.#folder, `${name}${suffix}`);
  }

  #nodesFileOf(name: string): string {
    return join(this.#folder, `${name}.nodes`);
  }
}

/** The path without links in it, for a file that may be gone from its folder. */
function realPlaceOf(file: string): string {
  const folder = dirname(resolve(file));
  return join(existsSync(folder) ? realpathSync(folder) : folder, basename(file));
}

function checkName(name: string): void {
  if (!namePattern.test(name))
    throw new NodeError(
      "INPUT_INVALID",
      `the name ${JSON.stringify(name.slice(0, 80))} is not 1 to 64 letters, digits or ._@- beginning with a letter or digit`,
    );
}
