// Package umf is the message format of Hydrant: it scans, checks, re-emits,
// addresses, signs and verifies messages of the Universal Messaging Format,
// UMF 1.4.6, as old clients of Hydra Router write and read them. It imports the
// standard library only and does no I/O.
//
// There are two ways into it. A router uses [Scan] and an [Envelope], which finds
// the fields in a text without copying or allocating. A service uses [Message], a
// struct. Both read a message in the same way.
//
// # The format
//
// A message is a JSON object in UTF-8. Each field has a long key, and most have
// a short one as well; a message may use either, or a mixture:
//
//	long           short  meaning
//	to             to     where the message goes, required
//	from           frm    the sender, required
//	headers        hdr    object of facts about the body
//	mid            mid    id of the message
//	rmid           rmid   mid of the message that this one answers
//	signature      sig    see Signatures
//	timeout        tmo    seconds that the sender waits
//	timestamp      ts     time of its making, 2026-01-12T20:16:29.157Z
//	type           typ    kind of the body
//	version        ver    UMF/1.4.6
//	via            via    the way back to the sender's session
//	forward        fwd    where the receiver is to send the message on
//	body           bdy    any JSON, required; of what clients send not falsy
//	authorization  aut    the sender's credentials
//	priority       pri
//	ttl            ttl    seconds for which the message is worth delivering
//	for            for    the final receiver
//
// Hydrant sends short form. It passes on keys that are not in the table, but for one
// that is in it but for case, "BDY": many readers ignore case, and would take it for
// the body ([Envelope.Lookalike]).
//
// A message has one reading, everywhere:
//
//   - Keys are compared after decoding their escapes, and with case.
//   - Of equal keys the last value counts.
//   - Of a long and a short key of one field the long one counts, unless its
//     value is falsy and the short one's is not.
//   - A value is falsy if JavaScript takes it for false: null, false, "", and
//     every number that is zero as a double. A falsy field counts as absent.
//
// [Envelope.AppendShort] emits each field once, so that every later reader reads
// the message in the same way.
//
// # Addresses
//
//	svc:/path                   any instance of a service
//	S@svc:/path                 instance S of it
//	svc:[GET]/path              an HTTP call to it
//	sid@client:/                a session
//	node-sid@hydra-router:/     a session, by the node that holds it: a via
//
// Names are 1 to 64 letters, digits, "_" or "-", and nothing else is accepted,
// because they become tokens of NATS subjects.
//
// # Signatures
//
// A signature is the HMAC-SHA-256, in lower-case hex, of a text that the original
// library got from JavaScript's JSON.stringify: the fields from to up to
// authorization in the order of the table, without the signature, under their
// long keys; falsy ones left out; the version filled in. Inside values, objects
// have their keys as a JavaScript object would (keys like "7" first, in numeric
// order; of equal keys the last value in the place of the first), numbers are
// doubles in their shortest form, and strings have no escape that they can do
// without.
//
// That text depends on how a message is read: 1.0 and 1 are signed alike, and so
// are "\u0041" and "A". [Keys.Verify] therefore also decides how the message goes
// on: if a signed value has an object with a key twice, AppendShort emits the
// value as it was signed. What no signature covers, priority, ttl, for and unknown
// keys, anybody can add to a message that was signed: [Envelope.KeepCovered] takes it
// away.
//
// # Design
//
// Spans, not values. An Envelope holds the places in the text where values begin
// and end, 448 bytes in all, and serves for one message after the other. The same
// pass finds out whether a message is in short form already. If so, its bytes are
// sent on with a few values spliced in, in 13 ns for 300 bytes; otherwise its
// values are copied under new keys, in 60 ns. Bodies are only checked to be JSON,
// and never changed: 9007199254740993, 1e400 and -0 arrive as they were sent.
//
// Speed of Scan: 1.4 GB/s on a message of 300 bytes, 3.4 to 3.8 times that of
// encoding/json.Valid in the same run, which finds no fields and does not look
// at UTF-8 (go test -run '^$' -bench Scan ./umf). Two things make it: UTF-8 is
// checked for the whole text at once, by unicode/utf8, instead of in each
// string; and strings are walked over eight bytes at a time. Objects and arrays
// are walked over by functions that call each other, because that reads best;
// MaxDepth bounds the stack.
//
// The cost that a hostile sender can cause is bounded. Scanning 1 MiB takes 1.6 ms
// at most, and making canonical text of it 5 to 25 ms. Tried were: one object of
// 110,000 integer-like keys in falling order, one key 170,000 times, nested
// objects that all are out of order, a number of a million digits (go test -run
// '^$' -bench Hostile ./umf). For that, a seeded hash table finds equal keys, and
// objects are put in order by moving output instead of reading again.
//
// Usual messages take a fast way in [Envelope.AppendCanonical] and [Keys.Verify]: a
// pass proves that a value is canonical as it is, so that it can be hashed in
// place, 0.6 µs for 300 bytes, most of it SHA-256. The pass may say "not sure" and
// never says "canonical" wrongly. Fuzzing and 30,000 random messages, compared
// with the original library to the byte (go test -tags e2e ./umf), hold both ways
// to the same text.
//
// Rejected: encoding/json for the Envelope (it matches keys without case, turns
// lone surrogates into U+FFFD, and copies), and for canonical text (it has no order
// of keys to start from, and 1e400 is an error). A map of fields (it allocates). To
// refuse messages with equal keys: old clients' parsers take them. To look for
// equal keys inside unsigned bodies: services check those, and it would cost each
// message a pass. A limit for the number of unknown keys: they are compared one by
// one only up to eight.
//
// unsafe is not used; numbers of more than 32 characters in signed messages
// cost an allocation for it.
package umf
