/** Protocol Buffers on the wire (protobuf.dev/programming-guides/encoding), to and from the JSON of proto3, for messages that a table describes. */

/** A field of a message; its name is that of the JSON. */
export type Field =
  | Named & { readonly kind: 'string' | 'bytes' | 'int64' }
  | Named & { readonly kind: 'enum', readonly values: readonly string[] }
  | Named & { readonly kind: 'message', readonly of: readonly Field[] }
type Named = { readonly name: string, readonly number: number, readonly repeated?: boolean }
export type Message = Record<string, unknown>

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const
const LONGEST_VARINT = 10
const strictly = new TextDecoder('utf-8', { fatal: true })

/** Throws a RangeError or TypeError where the bytes are no such message. Fields that the table does not have are passed over. */
export function decodeMessage (bytes: Uint8Array, fields: readonly Field[]): Message {
  const reader = new Reader(bytes)
  const message: Message = {}
  while (!reader.isAtEnd) {
    const tag = Number(reader.varint())
    const field = fields.find(({ number }) => number === tag >>> 3)
    const wireType = tag & 7
    if (field === undefined || wireType !== (field.kind === 'enum' || field.kind === 'int64' ? WIRE.varint : WIRE.bytes)) reader.skip(wireType)
    else put(message, field, readValue(reader, field))
  }
  return message
}

function put (message: Message, { name, repeated }: Field, value: unknown): void {
  if (repeated !== true) message[name] = value
  else if (Array.isArray(message[name])) message[name].push(value)
  else message[name] = [value]
}

function readValue (reader: Reader, field: Field): unknown {
  if (field.kind === 'enum') {
    // An enum is an int32: what is beyond its names goes on as its number.
    const number = Number(BigInt.asIntN(32, reader.varint()))
    return field.values[number] ?? number
  }
  if (field.kind === 'int64') return String(BigInt.asIntN(64, reader.varint()))
  const bytes = reader.bytes()
  if (field.kind === 'string') return strictly.decode(bytes)
  if (field.kind === 'message') return decodeMessage(bytes, field.of)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor (bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd (): boolean {
    return this.#at >= this.#bytes.length
  }

  varint (): bigint {
    let value = 0n
    for (let i = 0; i < LONGEST_VARINT; i++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new RangeError('the message ends within a number')
      value |= BigInt(byte & 0x7F) << BigInt(7 * i)
      if (byte < 0x80) return value
    }
    throw new RangeError('a number is too long')
  }

  bytes (): Uint8Array {
    return this.#take(Number(this.varint()))
  }

  skip (wireType: number): void {
    if (wireType === WIRE.varint) this.varint()
    else if (wireType === WIRE.bytes) this.bytes()
    else if (wireType === WIRE.fixed64 || wireType === WIRE.fixed32) this.#take(wireType === WIRE.fixed64 ? 8 : 4)
    else throw new RangeError(`wire type ${wireType} is not in use`)
  }

  #take (count: number): Uint8Array {
    if (count > this.#bytes.length - this.#at) throw new RangeError('the message ends within a field')
    this.#at += count
    return this.#bytes.subarray(this.#at - count, this.#at)
  }
}

/** What is not in the table, or has its default, is left out. */
export function encodeMessage (message: Message, fields: readonly Field[]): Buffer {
  const parts = fields.flatMap(field => {
    const value = message[field.name]
    if (value === undefined) return []
    return (field.repeated === true ? value as unknown[] : [value]).flatMap(one => encodeField(field, one))
  })
  return Buffer.concat(parts)
}

function encodeField (field: Field, value: unknown): Buffer[] {
  if (field.kind === 'enum' || field.kind === 'int64') {
    const number = field.kind === 'enum' ? BigInt(field.values.indexOf(String(value))) : BigInt(value as string)
    return number === 0n ? [] : [varint(BigInt(field.number * 8 + WIRE.varint)), varint(BigInt.asUintN(64, number))]
  }
  const bytes = field.kind === 'message' ? encodeMessage(value as Message, field.of) : Buffer.from(String(value), field.kind === 'bytes' ? 'base64' : 'utf8')
  // An element that is empty is an element all the same.
  return bytes.length === 0 && field.repeated !== true ? [] : [varint(BigInt(field.number * 8 + WIRE.bytes)), varint(BigInt(bytes.length)), bytes]
}

function varint (value: bigint): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7Fn) | 0x80)
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}
