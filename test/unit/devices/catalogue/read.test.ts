import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { CatalogueError } from "../../../../src/devices/catalogue/errors.ts";
import { entryOf, kindOf, membersOf, parseCatalogue, readCatalogue } from "../../../../src/devices/catalogue/read.ts";
import { checkLibrary, sha256OfFile } from "../../../../src/devices/catalogue/safe-file.ts";
import { scaled, seed } from "../../../run-settings.ts";

const card = (name: string, more = "") =>
  `[[device]]\nname = "${name}"\nkind = "sdf"\nlibrary = "/usr/local/lib/libgmt0018.so"\n${more}\n`;
const token = (more: string) => `[[device]]\nname = "t"\nkind = "pkcs11"\nlibrary = "/usr/lib/token.so"\n${more}\n`;
const kms = (more: string) =>
  `[[device]]\nname = "k"\nkind = "aws-kms"\nregion = "eu-west-1"\naccess_key_id = "AKIAEXAMPLE123456789"\nmaster_key = "alias/x"\n${more}\n`;

describe("devices.toml", () => {
  it("names cards with the defaults of their pool", () => {
    const entry = parseCatalogue(card("card-1", "key_indices = [1, 43]")).get("card-1");
    assert.deepEqual(entry, {
      name: "card-1",
      kind: "sdf",
      library: "/usr/local/lib/libgmt0018.so",
      profile: "gmt0018",
      key_indices: [1, 43],
      kek_indices: [],
      environment: {},
      sessions_min: 1,
      sessions_max: 4,
      acquire_timeout_ms: 1000,
      call_timeout_ms: 2500,
      queue: 256,
    });
  });

  it("names sets of cards, which are of their members' kind", () => {
    const entries = parseCatalogue(
      `${card("a", "key_indices = [1]")}${card("b", "key_indices = [1]")}[[device]]\nname = "both"\nmembers = ["a", "b"]\n`,
    );
    const catalogue = { entries, file: "devices.toml" };
    assert.equal(kindOf(catalogue, "both"), "sdf");
    assert.deepEqual(
      membersOf(catalogue, "both").map(({ name }) => name),
      ["a", "b"],
    );
  });

  it("may name nothing", () => assert.equal(parseCatalogue("# none yet\n").size, 0));

  const refused: readonly (readonly [string, string, RegExp])[] = [
    ["text that is not TOML", "[[device]\n", /not TOML: line 1/],
    ["another table", `${card("a")}[server]\n`, /unknown table or field "server"/],
    ["one table in place of a list", '[device]\nname = "a"\n', /\[\[device\]\]/],
    ["an unknown field", card("a", 'pasword = "12345678"'), /pasword/],
    ["a PIN in the file", card("a", 'pin = "12345678"'), /pin/],
    ["a kind that there is not", '[[device]]\nname = "a"\nkind = "yubihsm"\n', /kind is one of/],
    ["no kind", '[[device]]\nname = "a"\n', /kind is one of/],
    ["a name with a slash", card("../a"), /name/],
    ["an empty name", card(""), /name/],
    ["one name twice", card("a") + card("a"), /two devices are called a/],
    ["a library that the loader would search for", card("a").replace("/usr/local/lib/", ""), /absolute path/],
    ["a library with a zero byte", card("a").replace("gmt0018.so", "\\u0000.so"), /zero byte/],
    ["two sources of one PIN", card("a", 'pin_file = "p"\npin_credential = "c"'), /not both/],
    ["a credential that is a path", card("a", 'pin_credential = "../c"'), /pin_credential/],
    ["an index of 0", card("a", "key_indices = [0]"), /key_indices/],
    ["an index twice", card("a", "key_indices = [1, 1]"), /twice/],
    ["a fractional index", card("a", "key_indices = [1.5]"), /key_indices/],
    ["fewer sessions than the least", card("a", "sessions_min = 3\nsessions_max = 2"), /sessions_min/],
    ["no session at all", card("a", "sessions_max = 0"), /sessions_max/],
    ["an endless timeout", card("a", "call_timeout_ms = 99999999"), /call_timeout_ms/],
    ["a preloaded library", card("a", 'environment = { LD_PRELOAD = "/x.so" }'), /environment/],
    ["options for Node", card("a", 'environment = { NODE_OPTIONS = "--require /x" }'), /environment/],
    ["a configuration for OpenSSL", card("a", 'environment = { OPENSSL_CONF = "/x.cnf" }'), /environment/],
    ["a folder of converters", card("a", 'environment = { GCONV_PATH = "/x" }'), /environment/],
    ["a short pin of the library", card("a", 'library_sha256 = "ab"'), /library_sha256/],
    ["a token that nothing names", token(""), /token_label, token_serial or slot/],
    ["a KMS without its secret", kms(""), /secret_file or secret_credential/],
    ["a KMS with two", kms('secret_file = "a"\nsecret_credential = "b"'), /one of them/],
    ["a secret access key in the file", kms('secret = "x"'), /secret/],
    ["a set of one", `${card("a")}[[device]]\nname = "s"\nmembers = ["a"]\n`, /members/],
    ["a set with one member twice", `${card("a")}[[device]]\nname = "s"\nmembers = ["a", "a"]\n`, /twice/],
    ["a set of what there is not", `${card("a")}[[device]]\nname = "s"\nmembers = ["a", "b"]\n`, /its member b/],
    ["a set of itself", `${card("a")}[[device]]\nname = "s"\nmembers = ["a", "s"]\n`, /its member s/],
    [
      "a set of different kinds",
      `${card("a")}${token('token_label = "x"')}[[device]]\nname = "s"\nmembers = ["a", "t"]\n`,
      /different kinds/,
    ],
    [
      "a set of cards that no index tells apart",
      `${card("a")}${card("b")}[[device]]\nname = "s"\nmembers = ["a", "b"]\n`,
      /no key_indices or kek_indices/,
    ],
    [
      "a set of cards with different indices",
      `${card("a", "kek_indices = [1]")}${card("b", "kek_indices = [1, 2]")}[[device]]\nname = "s"\nmembers = ["a", "b"]\n`,
      /a and b name different kek_indices/,
    ],
    [
      "more devices than any machine has",
      Array.from({ length: 33 }, (_, at) => card(`c${at}`)).join(""),
      /the most is 32/,
    ],
    ["too long a text", `#${"x".repeat(70_000)}`, /over 65536/],
  ];
  for (const [what, text, says] of refused)
    it(`refuses ${what}`, () =>
      assert.throws(() => parseCatalogue(text), {
        name: "CatalogueError",
        code: "CATALOGUE_INVALID",
        message: says,
      }));

  it("shows nothing of a line that it cannot read: someone may have put a PIN there", () => {
    try {
      parseCatalogue('[[device]]\npin = 8642-canary"\n');
      assert.fail("it was read");
    } catch (error) {
      assert.ok(error instanceof CatalogueError);
      assert.doesNotMatch(error.message, /canary/);
    }
  });

  it("says which devices there are when one is named that is not", () =>
    assert.throws(() => entryOf({ entries: parseCatalogue(card("card-1")), file: "f" }, "card-2"), {
      code: "DEVICE_UNKNOWN",
      hint: "it names card-1",
    }));

  it("takes or refuses any text, and throws nothing but its own error", () => {
    const piece = fc.constantFrom(
      "[[device]]",
      "name",
      "=",
      '"a"',
      "kind",
      '"sdf"',
      "\n",
      "[",
      "{",
      "}",
      "1",
      "'",
      "é",
      "library",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        try {
          parseCatalogue(pieces.join(" "));
        } catch (error) {
          assert.ok(error instanceof CatalogueError, String(error));
        }
      }),
      { seed, numRuns: scaled(2000) },
    );
  });
});

describe("the file of devices.toml", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "strongroom-catalogue-"));
  });
  after(() => rmSync(folder, { recursive: true }));
  const written = (name: string, mode: number, text = card("a")) => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode });
    chmodSync(file, mode);
    return file;
  };

  it("is known by its SHA-256, and its paths start at its folder", () => {
    const file = written("good.toml", 0o600);
    const catalogue = readCatalogue(file);
    assert.equal(catalogue.sha256, sha256OfFile(file));
    assert.equal(catalogue.at("pin"), join(folder, "pin"));
    assert.equal(catalogue.at("/etc/pin"), "/etc/pin");
  });

  it("is refused when it is not there", () =>
    assert.throws(() => readCatalogue(join(folder, "none.toml")), { code: "CATALOGUE_NOT_FOUND" }));

  for (const mode of [0o644, 0o660, 0o602])
    it(`is refused with mode 0${mode.toString(8)}`, () =>
      assert.throws(() => readCatalogue(written(`mode-${mode}.toml`, mode)), { code: "CATALOGUE_UNSAFE" }));

  it("is refused in a folder that others can write to", () => {
    const open = join(folder, "open");
    mkdirSync(open);
    writeFileSync(join(open, "devices.toml"), card("a"), { mode: 0o600 });
    chmodSync(open, 0o777);
    assert.throws(() => readCatalogue(join(open, "devices.toml")), { code: "CATALOGUE_UNSAFE" });
  });

  it("is refused when it is a folder", () => {
    mkdirSync(join(folder, "folder.toml"), { mode: 0o700 });
    assert.throws(() => readCatalogue(join(folder, "folder.toml")), { code: "CATALOGUE_UNSAFE" });
  });

  it("is refused when it is too large", () =>
    assert.throws(() => readCatalogue(written("large.toml", 0o600, `#${"x".repeat(70_000)}`)), {
      code: "CATALOGUE_INVALID",
    }));

  it("names libraries that only root or this user can change", () => {
    const library = written("lib.so", 0o755, "code");
    checkLibrary(library);
    checkLibrary(library, sha256OfFile(library));
  });

  it("refuses a library that is missing, or is a folder", () => {
    assert.throws(() => checkLibrary(join(folder, "missing.so")), { code: "LIBRARY_UNUSABLE" });
    assert.throws(() => checkLibrary(folder), { code: "LIBRARY_UNUSABLE" });
  });

  it("refuses a library that others can write to", () =>
    assert.throws(() => checkLibrary(written("open.so", 0o775, "code")), { code: "CATALOGUE_UNSAFE" }));

  it("refuses a library of another SHA-256 than the one that is pinned", () =>
    assert.throws(() => checkLibrary(written("pinned.so", 0o755, "code"), "0".repeat(64)), {
      code: "LIBRARY_CHANGED",
    }));

  it("refuses a link that lies where others can point it elsewhere", () => {
    const open = join(folder, "links");
    mkdirSync(open);
    symlinkSync(written("target.so", 0o755, "code"), join(open, "lib.so"));
    checkLibrary(join(open, "lib.so"));
    chmodSync(open, 0o777);
    assert.throws(() => checkLibrary(join(open, "lib.so")), { code: "CATALOGUE_UNSAFE" });
  });
});
