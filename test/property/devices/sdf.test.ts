import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DeviceError } from "../../../src/devices/errors.ts";
import { DeviceFault } from "../../../src/devices/native/fault.ts";
import { rawCiphertextOf } from "../../../src/devices/sdf/ciphertext.ts";
import { checkLibraryFile } from "../../../src/devices/sdf/elf.ts";
import { readMaterial } from "../../../src/devices/sdf/material.ts";
import { sdfProfiles } from "../../../src/devices/sdf/profiles.ts";
import {
  c2Start,
  cipherBytes,
  packCipher,
  packPublicKey,
  packSignature,
  StructMismatch,
  structBytes,
  unpackCipher,
  unpackDeviceInfo,
  unpackPublicKey,
  unpackSignature,
} from "../../../src/devices/sdf/structs.ts";
import { scaled, seed } from "../../run-settings.ts";

const settings = { seed, numRuns: scaled(10_000) };
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const layouts = fc.constantFrom(...Object.values(sdfProfiles)).map(({ eccCipher }) => eccCipher);

describe("structures of a GM/T 0018 library", () => {
  it("come back from what they were packed into", () => {
    fc.assert(
      fc.property(bytes(64), (pair) => {
        assert.deepEqual(unpackPublicKey(packPublicKey(pair)), Buffer.from(pair));
        assert.deepEqual(unpackSignature(packSignature(pair)), Buffer.from(pair));
      }),
      settings,
    );
    fc.assert(
      fc.property(layouts, bytes(c2Start - 1), fc.uint8Array({ minLength: 1, maxLength: 32 }), (layout, head, c2) => {
        const raw = Buffer.concat([Buffer.of(4), head, c2]);
        assert.deepEqual(unpackCipher(layout, packCipher(layout, raw), c2.length), raw);
      }),
      settings,
    );
  });

  it("are given back unchanged by a second packing, or refused, whatever a library writes", () => {
    const refusedOr = (unpack: () => Buffer, pack: (value: Buffer) => Buffer, image: Uint8Array): void => {
      let value: Buffer;
      try {
        value = unpack();
      } catch (error) {
        assert.ok(error instanceof StructMismatch);
        return;
      }
      assert.deepEqual(pack(value), Buffer.from(image));
    };
    const nearly = (length: number) =>
      fc
        .tuple(bytes(length), fc.array(fc.nat(length - 1), { maxLength: 3 }), fc.boolean())
        .map(([noise, places, all]) => {
          if (all) return noise;
          const image = new Uint8Array(length);
          for (const place of places) image[place] = noise[place] ?? 0;
          return image;
        });
    fc.assert(
      fc.property(nearly(structBytes.publicKey), (image) => {
        image.set([0, 1, 0, 0]);
        refusedOr(() => unpackPublicKey(image), packPublicKey, image);
      }),
      settings,
    );
    fc.assert(
      fc.property(nearly(structBytes.signature), (image) =>
        refusedOr(() => unpackSignature(image), packSignature, image),
      ),
      settings,
    );
    fc.assert(
      fc.property(layouts, nearly(332), fc.integer({ min: 1, max: 32 }), (layout, image, c2Bytes) => {
        const view = Buffer.from(image.subarray(0, cipherBytes(layout, c2Bytes)));
        view.writeUInt32LE(c2Bytes, layout.length);
        view.fill(0, layout.c + c2Bytes, Math.min(view.length, layout.c + layout.maxC2Bytes));
        if (layout.c < layout.m) view.fill(0, layout.c + c2Bytes, layout.m);
        refusedOr(
          () => unpackCipher(layout, view, c2Bytes),
          (raw) => packCipher(layout, raw),
          view,
        );
      }),
      settings,
    );
  });

  it("never fail but with the one error, at any length", () => {
    fc.assert(
      fc.property(layouts, fc.uint8Array({ maxLength: 400 }), (layout, image) => {
        for (const unpack of [
          () => unpackPublicKey(image),
          () => unpackSignature(image),
          () => unpackDeviceInfo(image),
          () => unpackCipher(layout, image, 32),
        ])
          try {
            unpack();
          } catch (error) {
            assert.ok(error instanceof StructMismatch);
          }
      }),
      settings,
    );
  });
});

describe("what comes from outside about a card's keys", () => {
  it("is material in its one form, or KEY_DAMAGED", () => {
    const key = { keyId: "k", version: 1, suite: "sm" } as const;
    const schemes = ["sm2-envelope", "sm4-kek", "sm2-key"] as const;
    const text = fc.oneof(
      fc.json(),
      fc.string(),
      fc
        .record({ scheme: fc.constantFrom(...schemes), keyIndex: fc.integer(), publicKey: fc.string() })
        .map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(text, (material) => {
        try {
          readMaterial({ ...key, material: Buffer.from(material) }, schemes);
        } catch (error) {
          assert.ok(error instanceof DeviceError && error.code === "KEY_DAMAGED");
        }
      }),
      settings,
    );
  });

  it("is a ciphertext whose parts are all there, or none", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (ciphertext) => {
        const raw = rawCiphertextOf(ciphertext);
        assert.ok(raw === undefined || raw.length > c2Start);
      }),
      settings,
    );
  });

  it("is a library's header that is judged without loading it", () => {
    const folder = mkdtempSync(join(tmpdir(), "sdf-elf-"));
    const path = join(folder, "lib.so");
    try {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (noise, elf) => {
          writeFileSync(path, elf ? Buffer.concat([Buffer.from("\x7fELF", "latin1"), noise]) : noise);
          try {
            checkLibraryFile(path);
          } catch (error) {
            assert.ok(error instanceof DeviceFault && error.kind === "unsupported");
          }
        }),
        { ...settings, numRuns: scaled(2_000) },
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
