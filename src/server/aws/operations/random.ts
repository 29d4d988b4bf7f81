import { type DefinedOperation, defineOperation } from "../define.ts";
import { AwsError } from "../errors.ts";
import { numberOfBytes } from "../members.ts";
import { optional } from "../shape.ts";

export const generateRandom: DefinedOperation = defineOperation(
  "GenerateRandom",
  { NumberOfBytes: optional(numberOfBytes) },
  async ({ custody, caller }, input) => {
    if (input.NumberOfBytes === undefined) throw new AwsError("ValidationException", "NumberOfBytes is required.");
    return { Plaintext: await custody.asymmetric.generateRandom(caller, input.NumberOfBytes) };
  },
);
