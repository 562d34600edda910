package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"hydrant/edge/internal/access"
	"hydrant/edge/internal/protocol"
	"hydrant/umf"
)

// A request of HTTP as a UMF message, which a service takes as it takes the message to
// svc:[METHOD]/path of a WebSocket's client.

// headerEncoding, a member of hdr, says how a body that is no JSON is written.
const headerEncoding = "x-encoding"

const encodingBase64 = "base64"

// webMessage is a request on its way to a service.
type webMessage struct {
	request *http.Request
	to      string // address
	router  []byte // address of the router, as JSON
	body    []byte
	silent  bool // about the credentials: they are the node's own
}

// dropped are the fields that end here: those of the connection (RFC 9110 §7.6.1), of
// the body as it was sent, cookies, those that the edge writes itself, and those that
// say where a request comes from, which anybody can write.
var dropped = map[string]bool{
	"connection": true, "keep-alive": true, "proxy-connection": true, "proxy-authenticate": true, "proxy-authorization": true,
	"te": true, "trailer": true, "transfer-encoding": true, "upgrade": true, "http2-settings": true,
	"content-length": true, "expect": true, "cookie": true, "cookie2": true, headerEncoding: true,
	"forwarded": true, "x-forwarded-for": true, "x-forwarded-host": true, "x-forwarded-proto": true, "x-forwarded-port": true,
	"x-forwarded-server": true, "x-real-ip": true, "host": true,
}

// ofNATS reports whether a field has the name of a header of nodes or servers on NATS.
// Services read those of a message there, and a field of that name is nobody's word.
func ofNATS(name string) bool {
	return strings.HasPrefix(name, "umf-") || strings.HasPrefix(name, "nats-")
}

// nominated are the fields that belong to the connection because the field Connection
// says so.
func nominated(header http.Header) map[string]bool {
	var list map[string]bool
	for _, line := range header.Values("Connection") {
		for name := range strings.SplitSeq(line, ",") {
			if list == nil {
				list = make(map[string]bool)
			}
			list[strings.ToLower(strings.TrimSpace(name))] = true
		}
	}
	return list
}

// size is about that of the message.
func (m *webMessage) size() int { return len(m.body) + len(m.body)/2 + 1024 }

// append appends the message. All its errors are refusals.
func (m *webMessage) append(b []byte, now time.Time) ([]byte, error) {
	b = umf.AppendString(append(b, `{"to":`...), m.to)
	b = append(append(b, `,"frm":`...), m.router...)
	body, encoded, err := m.jsonBody()
	if err != nil {
		return nil, err
	}
	b = m.appendHeaders(append(b, `,"hdr":{`...), encoded)
	b = append(umf.AppendMid(append(b, `},"mid":"`...)), `","ts":"`...)
	b = append(umf.AppendTimestamp(b, now), `","ver":"`+umf.CurrentVersion+`","via":`...)
	b = append(append(b, m.router...), `,"bdy":`...)
	if encoded {
		b = append(base64.StdEncoding.AppendEncode(append(b, '"'), m.body), '"')
	} else {
		b = append(b, body...)
	}
	if authorization := m.request.Header.Get("Authorization"); authorization != "" && !m.silent {
		b = umf.AppendString(append(b, `,"aut":`...), strings.ToValidUTF8(authorization, "\ufffd"))
	}
	b = append(b, '}')
	if !encoded && len(m.body) > 0 && umf.Scan(b, new(umf.Envelope)) != nil {
		return nil, errBadJSON // nested too deep, for example
	}
	return b, nil
}

// jsonBody returns the body as JSON, or says that it goes encoded: what is no JSON, and
// what JSON a message cannot have as its body.
func (m *webMessage) jsonBody() (body []byte, encoded bool, err error) {
	switch {
	case len(m.body) == 0:
		return []byte("{}"), false, nil
	case !protocol.IsJSON(m.request.Header.Get("Content-Type")) || !utf8.Valid(m.body) || m.request.Header.Get("Content-Encoding") != "":
		return nil, true, nil
	case !json.Valid(m.body):
		return nil, false, errBadJSON
	}
	body = bytes.TrimSpace(m.body)
	switch string(body[:min(len(body), 6)]) {
	case "null", "false", `""`:
		return nil, true, nil
	}
	var number float64
	if body[0] != '{' && body[0] != '[' && json.Unmarshal(body, &number) == nil && number == 0 {
		return nil, true, nil
	}
	return body, false, nil
}

// appendHeaders appends the members of hdr. A field that is there more than once is
// one list (RFC 9110 §5.3).
func (m *webMessage) appendHeaders(b []byte, encoded bool) []byte {
	open := len(b)
	add := func(name, value string) {
		if len(b) > open {
			b = append(b, ',')
		}
		b = umf.AppendString(append(umf.AppendString(b, name), ':'), strings.ToValidUTF8(value, "\ufffd"))
	}
	own := nominated(m.request.Header)
	for name, values := range m.request.Header {
		name = strings.ToLower(name)
		if dropped[name] || ofNATS(name) || own[name] || protocol.ReservedFromClients.Has(name) || m.silent && name == "authorization" {
			continue
		}
		add(name, strings.Join(values, ", "))
	}
	add("host", m.request.Host)
	for name, value := range forwarded(m.request) {
		add(name, value)
	}
	if encoded {
		if m.request.Header.Get("Content-Type") == "" {
			add("content-type", "application/octet-stream")
		}
		add(headerEncoding, encodingBase64)
	}
	return b
}

// forwarded is where a request comes from, as the edge knows it.
func forwarded(r *http.Request) map[string]string {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	scheme := access.ForwardedScheme(strings.Join(r.Header.Values("X-Forwarded-Proto"), ","))
	switch {
	case scheme != "":
	case r.TLS != nil:
		scheme = "https"
	default:
		scheme = "http"
	}
	return map[string]string{"x-forwarded-for": client, "x-forwarded-proto": scheme, "x-forwarded-host": r.Host}
}

// passOver takes what a body has beyond its limit, up to twice as much. Who is still
// sending when the connection ends finds it reset, and not the answer.
func passOver(r *http.Request, limit int64) {
	_, _ = io.CopyN(io.Discard, r.Body, 2*limit) // the answer is the same
}

// awaitsLeave reports whether the client sends its body only when it is told to, which
// the first reading of it does (RFC 9110 §10.1.1).
func awaitsLeave(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Expect"), "100-continue")
}

// readBody reads a body of at most limit bytes; nil: what it returns is not put back. All
// its errors are refusals.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, from *buffers) ([]byte, error) {
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // the rest of it may not be read
		if !awaitsLeave(r) {
			passOver(r, limit)
		}
		return nil, errTooLarge
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b = *bytes.NewBuffer(from.get(int(r.ContentLength) + bytes.MinRead))
	}
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		passOver(r, limit)
		return nil, errTooLarge
	case err != nil && !errors.Is(err, io.EOF):
		return nil, errUnread
	}
	return b.Bytes(), nil
}
