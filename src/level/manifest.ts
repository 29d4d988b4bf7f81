import type { BaseLevel, BaseSupports } from "./base-level.ts";

/** What classic-level supports, known without loading it (a test compares the two). */
export const classicSupports: BaseSupports = {
  permanence: true,
  has: true,
  getSync: true,
  seek: true,
  implicitSnapshots: true,
  explicitSnapshots: true,
  createIfMissing: true,
  errorIfExists: true,
  signals: { iterators: true },
  additionalMethods: { approximateSize: true, compactRange: true },
};

/** The manifest of an encrypted level over a base: its abilities, bytes as the only encoding handed on. */
export function manifestOver(base: BaseLevel | undefined, encryptKeyNames: boolean) {
  const supports = base?.supports ?? classicSupports;
  const { approximateSize = false, compactRange = false } = supports.additionalMethods;
  return {
    encodings: { buffer: true },
    permanence: supports.permanence !== false,
    has: supports.has === true,
    getSync: supports.getSync === true,
    seek: supports.seek === true && !encryptKeyNames,
    implicitSnapshots: supports.implicitSnapshots === true,
    explicitSnapshots: supports.explicitSnapshots === true,
    createIfMissing: supports.createIfMissing === true,
    errorIfExists: supports.errorIfExists === true,
    signals: { iterators: supports.signals?.iterators === true },
    additionalMethods: {
      ...(approximateSize && !encryptKeyNames ? { approximateSize: true } : {}),
      ...(compactRange && !encryptKeyNames ? { compactRange: true } : {}),
    },
  };
}
