package protocol

import (
	"encoding/json"
	"strconv"
	"strings"
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
		if e.CheckAnswer() == nil {
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

// statusHeader is set by services: an answer that has it is one of HTTP.
const statusHeader = "Umf-Status"

// ReadStatus finds the status of HTTP in the headers of an answer, which is then one
// of HTTP itself (statusHeader). status is 0 where that is none.
func ReadStatus(header map[string][]string) (status int, there bool) {
	for name, values := range header {
		if !strings.EqualFold(name, statusHeader) {
			continue
		}
		if there = true; len(values) == 1 && len(values[0]) == 3 {
			if n, err := strconv.Atoi(values[0]); err == nil && n >= 200 && n <= 599 {
				status = n
			}
		}
	}
	return status, there
}

// ClientBody returns what a client of a WebSocket gets of a service's answer, as JSON.
// Of an answer of HTTP that is the result of an envelope, else its JSON, else its text,
// else {}.
func ClientBody(e *umf.Envelope, header map[string][]string, data []byte) []byte {
	if _, raw := ReadStatus(header); !raw {
		return AnswerBody(e, data)
	}
	switch {
	case len(data) == 0, !utf8.Valid(data):
		return []byte("{}")
	case IsJSON(contentType(header)) && json.Valid(data):
		if result := umf.Member(data, "result"); result != nil {
			return result
		}
		return data
	}
	return umf.AppendString(nil, string(data))
}

func contentType(header map[string][]string) string {
	for name, values := range header {
		if strings.EqualFold(name, "Content-Type") && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// IsJSON reports whether a content type is JSON (RFC 8259, RFC 6839 §3.1).
func IsJSON(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}
