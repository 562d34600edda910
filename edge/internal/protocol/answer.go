package protocol

import (
	"unicode/utf8"

	"hydrant/umf"
)

// AnswerBody returns the part of a service's answer that the client gets, as
// JSON: the body of a UMF message; else the result of a JSON object; else the
// text; else {}. The answer is scanned into e. The bytes may be those of data.
func AnswerBody(e *umf.Envelope, data []byte) []byte {
	if len(data) == 0 {
		return []byte("{}")
	}
	if umf.Scan(data, e) == nil {
		if e.Check() == nil {
			return e.Raw(umf.Body)
		}
		if result := umf.Member(data, "result"); result != nil {
			return result
		}
	}
	if !utf8.Valid(data) {
		return []byte("{}")
	}
	return umf.AppendString(nil, string(data))
}
