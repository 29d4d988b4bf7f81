/**
 * What a server of a volume and the process that opened it say to each other about envelopes, over a socket pair of their own:
 *
 *     question = number (u32) ‖ public key (65) ‖ length (u16) ‖ envelope
 *     answer   = number (u32) ‖ outcome (1) ‖ length (u8) ‖ key            (length 0 unless `opened`)
 */
export const outcomes = { opened: 1, refused: 2, unavailable: 3 } as const;
export type Outcome = keyof typeof outcomes;

export const publicKeyBytes = 65;
export const questionHeadBytes: number = 4 + publicKeyBytes + 2;
export const answerHeadBytes = 6;
export const longestEnvelopeBytes = 1024;
export const longestKeyBytes = 32;

export interface Question {
  readonly number: number;
  readonly publicKey: Buffer;
  readonly envelope: Buffer;
}

export function encodeQuestion({ number, publicKey, envelope }: Question): Buffer {
  const head = Buffer.alloc(questionHeadBytes);
  head.writeUInt32BE(number, 0);
  publicKey.copy(head, 4);
  head.writeUInt16BE(envelope.length, 4 + publicKeyBytes);
  return Buffer.concat([head, envelope]);
}

/** The first question of what has come; undefined when it is not whole yet. @throws {RangeError} When it is none. */
export function readQuestion(bytes: Buffer): { readonly question: Question; readonly length: number } | undefined {
  if (bytes.length < questionHeadBytes) return undefined;
  const envelopeBytes = bytes.readUInt16BE(4 + publicKeyBytes);
  if (envelopeBytes === 0 || envelopeBytes > longestEnvelopeBytes)
    throw new RangeError(`an envelope has 1 to ${longestEnvelopeBytes} bytes`);
  const length = questionHeadBytes + envelopeBytes;
  if (bytes.length < length) return undefined;
  const publicKey = Buffer.from(bytes.subarray(4, 4 + publicKeyBytes));
  const envelope = Buffer.from(bytes.subarray(questionHeadBytes, length));
  return { question: { number: bytes.readUInt32BE(0), publicKey, envelope }, length };
}

/** The caller wipes it. */
export function encodeAnswer(number: number, outcome: Outcome, key: Buffer = Buffer.alloc(0)): Buffer {
  const answer = Buffer.alloc(answerHeadBytes + key.length);
  answer.writeUInt32BE(number, 0);
  answer.writeUInt8(outcomes[outcome], 4);
  answer.writeUInt8(key.length, 5);
  key.copy(answer, answerHeadBytes);
  return answer;
}
