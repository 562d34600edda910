package api

import (
	"maps"
	"net/http"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
)

// TestReplies: what of a service's answer comes back over HTTP.
func TestReplies(t *testing.T) {
	const envelope = `{"statusCode":500,"statusMessage":"Server Error","statusDescription":"x","result":{"reason":"boom"}}`
	ok := func(result string) string {
		return `{"statusCode":200,"statusMessage":"OK","statusDescription":"Request succeeded without error","result":` + result + `}`
	}
	body := func(bdy string) string { return `{"to":"x:/","frm":"echo:/","mid":"1","bdy":` + bdy + `}` }
	const js, text, octets = "application/json", "text/plain; charset=utf-8", "application/octet-stream"
	for _, test := range []struct {
		header     nats.Header
		data       string
		status     int
		kind, body string
	}{
		{nil, body(`{"n":1}`), 200, js, ok(`{"n":1}`)}, {nil, body(`"text"`), 200, js, ok(`"text"`)}, {nil, body(`42`), 200, js, ok(`42`)},
		{nil, body(`0`), 200, js, ok(`0`)}, {nil, body(`false`), 200, js, ok(`false`)}, {nil, body(`""`), 200, js, ok(`""`)}, {nil, body(`null`), 200, js, ok(`null`)},
		{nil, body(envelope), 500, js, envelope}, {nil, envelope, 500, js, envelope}, {nil, `{"result":[1]}`, 200, js, ok(`[1]`)},
		{nil, "plain", 200, js, ok(`"plain"`)}, {nil, "", 200, js, ok(`{}`)}, {nil, "\xff", 200, js, ok(`{}`)},
		{nil, body(`{"error":"No such order","code":"not_found"}`), 404, js, `{"statusCode":404,"statusMessage":"Not Found","statusDescription":` +
			`"The requested resource was not found on the server","result":{"reason":"No such order","code":"not_found"}}`},
		{nil, body(`{"error":"x","code":"overload"}`), 503, js, `{"statusCode":503,"statusMessage":"Service Unavailable","statusDescription":"x","result":{"reason":"x","code":"overload"}}`},
		{nil, body(`{"error":"x","code":"418"}`), 418, js, `{"statusCode":418,"statusMessage":"I'm a teapot","statusDescription":"x","result":{"reason":"x","code":"418"}}`},
		{nil, body(`{"error":"x","code":"else"}`), 500, js, `{"statusCode":500,"statusMessage":"Server Error","statusDescription":"An error occurred on the server","result":{"reason":"x","code":"else"}}`},
		{nil, body(`{"error":"x"}`), 200, js, ok(`{"error":"x"}`)},
		{nats.Header{scheme.HeaderStatus: {"201"}, "Content-Type": {"text/html"}}, "<p>", 201, "text/html", "<p>"},
		{nats.Header{"umf-status": {"404"}, "content-type": {"application/json"}}, `{"a":1}`, 404, js, `{"a":1}`},
		{nats.Header{"Umf-Status": {"200"}}, "<script>", 200, text, "<script>"}, {nats.Header{"Umf-Status": {"200"}}, "\xff", 200, octets, "\xff"},
		{nats.Header{"Umf-Status": {"304"}, "ETag": {`"a"`}}, "not sent", 304, text, ""}, {nats.Header{"Umf-Status": {"204"}}, "", 204, "", ""},
		{nats.Header{"Umf-Status": {"206"}, "Content-Range": {"bytes 0-1/2"}}, body(`1`), 206, text, body(`1`)},
		{nats.Header{"Nats-Service-Error": {"no"}, "Nats-Service-Error-Code": {"409"}, "Umf-Status": {"200"}}, "x", 409, js,
			`{"statusCode":409,"statusMessage":"Conflict","statusDescription":"no","result":{"reason":"no","code":"409","status":409}}`},
	} {
		_, a := newGateway(t, func(n *fakeNode) { n.nats.answer, n.nats.header = []byte(test.data), test.header })
		got := ask(t, a.Public(), "GET", "/v1/echo/1", "", nil)
		if got.status != test.status || got.header.Get("Content-Type") != test.kind || got.body != test.body {
			t.Errorf("%v %q: %d %s %q, want %d %s %q", test.header, test.data, got.status, got.header.Get("Content-Type"), got.body, test.status, test.kind, test.body)
		}
	}
	for _, status := range []string{"", "100", "199", "600", "20", "2000", "abc", "+20", " 200", "-10"} {
		_, a := newGateway(t, func(n *fakeNode) { n.nats.answer, n.nats.header = []byte("x"), nats.Header{"Umf-Status": {status}} })
		if got := ask(t, a.Public(), "GET", "/v1/echo/1", "", nil); got.status != http.StatusBadGateway {
			t.Errorf("status %q: %d", status, got.status)
		}
	}
}

// TestReplyHeaders: fields of an answer come back, but for those that are the edge's.
func TestReplyHeaders(t *testing.T) {
	_, a := newGateway(t, func(n *fakeNode) {
		n.nats.answer = []byte("x")
		n.nats.header = nats.Header{
			"Umf-Status": {"200"}, "content-type": {"text/css"}, "etag": {`"a"`}, "Cache-Control": {"no-store"}, "Location": {"/x"}, "Vary": {"Accept"}, "X-Many": {"1", "2"},
			"Set-Cookie": {"access_token=theirs"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}, "Transfer-Encoding": {"chunked"}, "Content-Length": {"9"},
			"Access-Control-Allow-Origin": {"*"}, "Umf-Session": {"k"}, "Nats-Msg-Id": {"1"}, "Traceparent": {"x"}, "Upgrade": {"x"},
		}
	})
	got := ask(t, a.Public(), "GET", "/v1/echo/1", "", nil)
	want := http.Header{
		"Content-Type": {"text/css"}, "Etag": {`"a"`}, "Cache-Control": {"no-store"}, "Location": {"/x"}, "Vary": {"Origin", "Accept"}, "X-Many": {"1", "2"}, "Content-Length": {"1"},
	}
	if !maps.EqualFunc(got.header, want, func(a, b []string) bool { return len(a) == len(b) && a[0] == b[0] && a[len(a)-1] == b[len(b)-1] }) {
		t.Errorf("%v\nwant\n%v", got.header, want)
	}
}
