package umf

// Field names a field of a UMF envelope that the format defines. The order of
// the constants is the order in which short form is written, and, without
// Signature and the last three, the order of the signed text.
type Field uint8

// The fields of UMF 1.4.6.
const (
	To            Field = iota // to: where the message goes
	From                       // from, frm: who sent it
	Headers                    // headers, hdr: transport facts about the body
	Mid                        // mid: message id, unique at its sender
	Rmid                       // rmid: mid of the message that this one answers
	Signature                  // signature, sig: HMAC-SHA-256 of the signed text, lower-case hex
	Timeout                    // timeout, tmo: seconds that the sender waits for an answer
	Timestamp                  // timestamp, ts: when it was made, ISO 8601
	Type                       // type, typ: what the body is
	Version                    // version, ver: version of UMF
	Via                        // via: the router on the way back
	Forward                    // forward, fwd: where the receiver is to send it on
	Body                       // body, bdy: the message itself
	Authorization              // authorization, aut: the sender's credentials
	Priority                   // priority, pri
	TTL                        // ttl: seconds for which the message is worth delivering
	For                        // for: whom it is for in the end

	fieldCount
)

// fieldName holds the two spellings of a field, and each as the text that
// comes before its value in an object.
type fieldName struct {
	long, short             string
	longMember, shortMember string
}

var fieldNames = [fieldCount]fieldName{
	To:            named("to", "to"),
	From:          named("from", "frm"),
	Headers:       named("headers", "hdr"),
	Mid:           named("mid", "mid"),
	Rmid:          named("rmid", "rmid"),
	Signature:     named("signature", "sig"),
	Timeout:       named("timeout", "tmo"),
	Timestamp:     named("timestamp", "ts"),
	Type:          named("type", "typ"),
	Version:       named("version", "ver"),
	Via:           named("via", "via"),
	Forward:       named("forward", "fwd"),
	Body:          named("body", "bdy"),
	Authorization: named("authorization", "aut"),
	Priority:      named("priority", "pri"),
	TTL:           named("ttl", "ttl"),
	For:           named("for", "for"),
}

func named(long, short string) fieldName {
	return fieldName{long, short, `"` + long + `":`, `"` + short + `":`}
}

// Long returns the long spelling of the field's key, "from" for [From].
func (f Field) Long() string {
	if f >= fieldCount {
		return "unknown"
	}
	return fieldNames[f].long
}

// Short returns the short spelling of the field's key, "frm" for [From]. Some
// fields have one spelling only; it is then both.
func (f Field) Short() string {
	if f >= fieldCount {
		return "unknown"
	}
	return fieldNames[f].short
}

// String returns the long spelling.
func (f Field) String() string { return f.Long() }

// lookupField finds the field that a decoded key names. Keys are compared as
// JavaScript does it, byte by byte: TO is not to. A key that is the only
// spelling of its field counts as short. The one switch is long, but the compiler
// turns it into a search by length and content.
func lookupField[T ~string | ~[]byte](key T) (f Field, long, ok bool) {
	switch string(key) {
	case "to":
		return To, false, true
	case "frm":
		return From, false, true
	case "from":
		return From, true, true
	case "hdr":
		return Headers, false, true
	case "headers":
		return Headers, true, true
	case "mid":
		return Mid, false, true
	case "rmid":
		return Rmid, false, true
	case "sig":
		return Signature, false, true
	case "signature":
		return Signature, true, true
	case "tmo":
		return Timeout, false, true
	case "timeout":
		return Timeout, true, true
	case "ts":
		return Timestamp, false, true
	case "timestamp":
		return Timestamp, true, true
	case "typ":
		return Type, false, true
	case "type":
		return Type, true, true
	case "ver":
		return Version, false, true
	case "version":
		return Version, true, true
	case "via":
		return Via, false, true
	case "fwd":
		return Forward, false, true
	case "forward":
		return Forward, true, true
	case "bdy":
		return Body, false, true
	case "body":
		return Body, true, true
	case "aut":
		return Authorization, false, true
	case "authorization":
		return Authorization, true, true
	case "pri":
		return Priority, false, true
	case "priority":
		return Priority, true, true
	case "ttl":
		return TTL, false, true
	case "for":
		return For, false, true
	}
	return 0, false, false
}
