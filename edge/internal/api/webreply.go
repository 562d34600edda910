package api

import (
	"encoding/json"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"hydrant/edge/internal/protocol"
	"hydrant/umf"
)

// webReply is the answer of a service, as HTTP has it.
type webReply struct {
	status int
	header http.Header
	body   []byte
}

// keptByEdge reports whether a field of an answer is not a service's to write: those of
// the connection, of CORS, of NATS, and cookies, which would be the edge's.
func keptByEdge(name string) bool {
	return dropped[name] || name == "set-cookie" || name == "set-cookie2" ||
		name == "status" || name == "description" || // of NATS
		name == "traceparent" || name == "tracestate" ||
		strings.HasPrefix(name, "access-control-") || ofNATS(name)
}

// readReply reads the answer of a service:
//
//	with Nats-Service-Error   a refusal of NATS' own framework
//	with Umf-Status           an answer of HTTP
//	a UMF message             its body, in an envelope
//	anything else             the same, of what a WebSocket's client would get
func readReply(m *nats.Msg) (*webReply, error) {
	if no, refused := protocol.ReadRefusal(m.Header); refused {
		return nil, &refusal{no.HTTP(), no.Text, json.RawMessage(no.AppendReason(nil))}
	}
	if status, raw := protocol.ReadStatus(m.Header); raw {
		if status == 0 {
			return nil, errBadStatus
		}
		return rawReply(status, http.Header(m.Header), m.Data), nil
	}
	e := new(umf.Envelope)
	if umf.Scan(m.Data, e) == nil && e.CheckAnswer() == nil {
		return bodyReply(e), nil
	}
	if status, ok := envelopeStatus(m.Data); ok {
		return jsonReply(status, m.Data), nil
	}
	return wrapped(http.StatusOK, succeeded, protocol.AnswerBody(e, m.Data)), nil
}

func rawReply(status int, header http.Header, body []byte) *webReply {
	r := &webReply{status: status, header: make(http.Header), body: body}
	own := nominated(header)
	for name, values := range header {
		if lower := strings.ToLower(name); !keptByEdge(lower) && !own[lower] {
			name = textproto.CanonicalMIMEHeaderKey(name)
			r.header[name] = append(r.header[name], values...)
		}
	}
	if len(body) > 0 && r.header.Get("Content-Type") == "" { // or net/http guesses: at pages, too
		r.header.Set("Content-Type", "application/octet-stream")
		if utf8.Valid(body) {
			r.header.Set("Content-Type", "text/plain; charset=utf-8")
		}
	}
	return r
}

func jsonReply(status int, body []byte) *webReply {
	return &webReply{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

// wrapped is JSON in an envelope.
func wrapped(status int, text string, result []byte) *webReply {
	answer, err := json.Marshal(newEnvelope(status, text, json.RawMessage(result)))
	if err != nil {
		return jsonReply(status, result) // it is not what json.Marshal takes for JSON
	}
	return jsonReply(status, answer)
}

// bodyReply is the body of a message as an answer.
func bodyReply(e *umf.Envelope) *webReply {
	body := e.Raw(umf.Body)
	if status, ok := envelopeStatus(body); ok {
		return jsonReply(status, body)
	}
	if status, ok := failureStatus(body); ok {
		reason, _ := umf.MemberText(body, "error")
		code, _ := umf.MemberText(body, "code")
		result := umf.AppendString([]byte(`{"reason":`), reason)
		result = umf.AppendString(append(result, `,"code":`...), code)
		return wrapped(status, reason, append(result, '}'))
	}
	return wrapped(http.StatusOK, succeeded, body)
}

// envelopeStatus reads the status of what is an envelope already.
func envelopeStatus(body []byte) (status int, ok bool) {
	if len(body) == 0 || body[0] != '{' || umf.Member(body, "statusMessage") == nil {
		return 0, false
	}
	n, err := strconv.Atoi(string(umf.Member(body, "statusCode")))
	return n, err == nil && n >= 200 && n <= 599
}

// codes are the statuses of failures.
var codes = map[string]int{
	"bad_request": http.StatusBadRequest, "unauthorized": http.StatusUnauthorized, "forbidden": http.StatusForbidden,
	"not_found": http.StatusNotFound, "unsupported": http.StatusNotFound, "conflict": http.StatusConflict,
	"overload": http.StatusServiceUnavailable, "unavailable": http.StatusServiceUnavailable,
}

// failureStatus finds out whether a body says that the service failed, as package bus
// writes it: with an error and a code, which gives the status.
func failureStatus(body []byte) (status int, ok bool) {
	if len(body) == 0 || body[0] != '{' {
		return 0, false
	}
	_, hasError := umf.MemberText(body, "error")
	code, hasCode := umf.MemberText(body, "code")
	if !hasError || !hasCode {
		return 0, false
	}
	if n, known := codes[code]; known {
		return n, true
	}
	if n, err := strconv.Atoi(code); err == nil && n >= 400 && n <= 599 {
		return n, true
	}
	return http.StatusInternalServerError, true
}

func (r *webReply) write(w http.ResponseWriter) {
	h := w.Header()
	for name, values := range r.header {
		if name == "Vary" {
			values = append(h[name], values...)
		}
		h[name] = values
	}
	if r.status != http.StatusNoContent && r.status != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(r.body)))
	}
	w.WriteHeader(r.status)
	if r.status != http.StatusNoContent && r.status != http.StatusNotModified {
		_, _ = w.Write(r.body) // fails when the peer is gone
	}
}
