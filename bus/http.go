package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
	"hydrant/umf"
)

// Members of hdr of a [METHOD] request whose body is no JSON.
const (
	headerContentType = "content-type"
	headerEncoding    = "x-encoding"
	encodingBase64    = "base64"
)

// HeaderValue is one of the headers that the sender of a request wrote, by its name in
// lower case; "": there is none. Over HTTP these are the fields of the request.
func (r *Request) HeaderValue(name string) string {
	value, _ := umf.MemberText(r.Message.Headers, name)
	return value
}

// Query is what stands after the path of a [METHOD] request. Pairs that cannot be read
// are left out.
func (r *Request) Query() url.Values {
	_, text, _ := strings.Cut(r.Path, "?")
	values, _ := url.ParseQuery(text) // has those that can be
	return values
}

// Content is the body of a [METHOD] request as it came over HTTP, and its content type:
// JSON, or whatever it is. A body that is told to be base64 and is none is an error.
func (r *Request) Content() (contentType string, body []byte, err error) {
	contentType = r.HeaderValue(headerContentType)
	if r.HeaderValue(headerEncoding) != encodingBase64 {
		if contentType == "" {
			contentType = "application/json"
		}
		return contentType, r.Message.Body, nil
	}
	if err = json.Unmarshal(r.Message.Body, &body); err != nil { // base64, as package json has it
		return contentType, nil, fmt.Errorf("%w: the body is not base64", ErrNotUMF)
	}
	return contentType, body, nil
}

// Response is an answer to a [METHOD] request in the words of HTTP.
type Response struct {
	Status      int    // from 200 to 599; 0: 200
	ContentType string // "": text/plain where the body is UTF-8, else application/octet-stream
	// Header has further fields of the answer: ETag, Location, Cache-Control. Those of
	// the connection, of CORS and cookies are the edge's, which leaves them out.
	Header map[string]string
	Body   []byte
}

// Respond answers a [METHOD] request with what its sender gets over HTTP as it is. A
// client of a WebSocket gets the result of an envelope, else the JSON, else the text.
// It is sent at most once. ErrNoReply: the message is no [METHOD] request, or its
// sender does not wait.
func (r *Request) Respond(ctx context.Context, a Response) error {
	if a.Status == 0 {
		a.Status = 200
	}
	sid := r.session()
	switch {
	case a.Status < 200 || a.Status > 599:
		return fmt.Errorf("%w: status %d", ErrServiceConfig, a.Status)
	case r.Method == "" || !r.direct(sid):
		return ErrNoReply
	case int64(len(a.Body)) > r.svc.nc.MaxPayload():
		return ErrTooLarge
	}
	header := nats.Header{}
	for name, value := range a.Header {
		header[name] = []string{value}
	}
	if a.ContentType != "" {
		header["Content-Type"] = []string{a.ContentType}
	}
	header[scheme.HeaderStatus] = []string{strconv.Itoa(a.Status)}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = tracectx.Extract(ctx, r.Header)
	}
	out := jet.Outgoing{Payload: a.Body, Header: header}
	_, span := r.svc.sending(ctx, "reply", &out)
	err := r.publish(out)
	tracectx.End(span, err)
	if err == nil {
		r.answered.Store(true)
	}
	return err
}
