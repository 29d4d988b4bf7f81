/**
 * Lets EthereumJS 10 put transactions into a proof-of-authority block.
 *
 * Its block builder makes an unsealed block for each transaction to run in, and its own Clique rules refuse that block:
 * no seal of 65 bytes in the extra data, so no signer to pay the fees to either. Every transaction is then passed over,
 * and the chain has empty blocks only. Importing this module seals each of those interim blocks, which never leave the
 * builder; the block itself is sealed at the end as ever.
 */
import { type BlockOptions, createSealedCliqueBlockHeader, type HeaderData } from "@ethereumjs/block";
import { BlockBuilder } from "@ethereumjs/vm";

/** The builder's own fields, which its type declares private. */
interface BuilderFields {
  headerData: HeaderData;
  readonly blockOpts: BlockOptions & { readonly cliqueSigner?: Uint8Array };
}

const { addTransaction } = BlockBuilder.prototype;

BlockBuilder.prototype.addTransaction = async function (this: BlockBuilder, ...args) {
  const fields = this as unknown as BuilderFields;
  const { cliqueSigner, ...options } = fields.blockOpts;
  if (cliqueSigner === undefined) return await addTransaction.apply(this, args);
  const { extraData: _, ...unsealed } = fields.headerData;
  const interim = { ...unsealed, gasUsed: this.gasUsed };
  // The seal is written into the header object that it seals, so that one must not be frozen.
  const { extraData } = createSealedCliqueBlockHeader(interim, cliqueSigner, { ...options, freeze: false });
  fields.headerData = { ...unsealed, extraData };
  try {
    return await addTransaction.apply(this, args);
  } finally {
    fields.headerData = unsealed;
  }
};
