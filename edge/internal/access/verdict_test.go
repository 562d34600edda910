package access

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"hydrant/edge/internal/protocol"
	"hydrant/umf"
)

// now is when the verdicts of these tests are read.
var now = time.Unix(1_800_000_000, 0)

// verdict reads an answer as it comes: as a UMF message, or over HTTP.
func verdict(header map[string][]string, data string) (Identity, error) {
	body := protocol.AnswerBody(new(umf.Envelope), []byte(data))
	return ReadVerdict(Answer{header, []byte(data), append([]byte(nil), body...)}, now)
}

// TestVerdictYes: what lets a client in.
func TestVerdictYes(t *testing.T) {
	ann, later := Identity{Name: "ann"}, time.Unix(1_900_000_000, 0)
	for body, want := range map[string]Identity{
		`{"identity":"ann"}`:                                      ann,
		`{"identity":"\u0061nn"}`:                                 ann,
		`{"identity":"x","identity":"ann"}`:                       ann,
		`{"identity":"ann","anonymous":false,"Error":"x"}`:        ann,
		`{"identity":"ann","anonymous":true}`:                     ann,
		`{"identity":"ann","statusCode":200,"status":299}`:        ann,
		`{"identity":"ann","exp":1900000000}`:                     {Name: "ann", Expires: later},
		`{"identity":"ann","exp":1900000000.9}`:                   {Name: "ann", Expires: later},
		`{"identity":"ann","exp":19e8}`:                           {Name: "ann", Expires: later},
		`{"identity":"ann","exp":1900000000000}`:                  {Name: "ann", Expires: time.Unix(maxMoment, 0)},
		`{"identity":"ann","exp":1e400}`:                          {Name: "ann", Expires: time.Unix(maxMoment, 0)},
		`{"identity":"ann","type":"admin","nested":{"error":1}}`:  ann,
		`{"anonymous":true}`:                                      {},
		`{"identity":"ann","umf":{"services": ["a"]}}`:            {Name: "ann", Rules: `{"services": ["a"]}`},
		`{"anonymous":true,"umf":{"services":[]}}`:                {Rules: `{"services":[]}`},
		`{"identity":"ann","\u0075mf":{}}`:                        {Name: "ann", Rules: `{}`},
		`{"identity":"ann","umf":null}`:                           {Name: "ann", Rules: `null`},
		`{"identity":"ann","UMF":{"services":["*"]}}`:             {Name: "ann"},
		`{"anonymous":true,"identity":null}`:                      {},
		`{"anonymous":true,"identity":"","exp":1900000000}`:       {Expires: later},
		`{"identity":"` + strings.Repeat("\u00e9", 512) + `"}`:    {Name: strings.Repeat("\u00e9", 512)},
		`{"identity":"ann of somewhere <ann@example.org>, ou=x"}`: {Name: "ann of somewhere <ann@example.org>, ou=x"},
	} {
		for _, data := range []string{
			`{"result":` + body + `}`, `{"statusCode":200,"result":` + body + `}`,
			`{"to":"a:/","frm":"b:/","mid":"1","bdy":` + body + `}`, `{"to":"a:/","from":"b:/","type":"auth","body":` + body + `}`,
		} {
			if id, err := verdict(map[string][]string{"Traceparent": {"x"}}, data); err != nil || id.Name != want.Name || id.Rules != want.Rules || !id.Expires.Equal(want.Expires) {
				t.Errorf("%s: %+v, %v", data, id, err)
			}
		}
	}
}

// TestVerdictNo: everything else is no, in whatever way a service says it.
func TestVerdictNo(t *testing.T) {
	const yes = `{"identity":"ann"}`
	message := func(body string) string { return `{"to":"a:/","frm":"b:/","mid":"1","bdy":` + body + `}` }
	answers := []string{
		``, ` `, `no`, `"yes"`, `true`, `{}`, `[]`, `null`, yes, `{"result":true}`, `{"result":null}`, `{"result":"ann"}`, `{"result":[` + yes + `]}`,
		`{"RESULT":` + yes + `}`, `{"results":` + yes + `}`, message(`{"result":` + yes + `}`), message(`"ann"`), message(`42`), message(`[` + yes + `]`),
		`{"result":` + yes + `,"error":"no"}`, `{"result":` + yes + `,"error":null}`,
		`{"to":"a:/","frm":"b:/","mid":"1","typ":"error","bdy":` + yes + `}`, `{"to":"a:/","from":"b:/","type":"error","body":` + yes + `}`,
		`{"to":"a:/","frm":"b:/","typ":"Error","bdy":` + yes + `}`, `{"to":"a:/","frm":"b:/","typ":"err\u006fr","bdy":` + yes + `}`,
		`{"to":"a:/","frm":"b:/","error":"x","bdy":` + yes + `}`, `{"to":"a:/","frm":"b:/","bdy":` + yes + `,"statusCode":403}`,
		`{"result":` + yes + `,"umf":{"services":[]}}`, `{"\u0075mf":null,"result":` + yes + `}`, `{"to":"a:/","frm":"b:/","umf":{"services":["*"]},"bdy":` + yes + `}`,
		`{"result":` + yes + `} trailing`, `{"result":` + yes, "\xff" + `{"result":` + yes + `}`,
	}
	for _, status := range []string{`401`, `403`, `199`, `300`, `302`, `600`, `0`, `-200`, `"200"`, `"403"`, `null`, `true`, `"ok"`, `"denied"`, `2`, `20`, `200.5`, `2e2`, `[200]`, `{}`} {
		answers = append(answers, `{"statusCode":`+status+`,"result":`+yes+`}`, `{"status":`+status+`,"result":`+yes+`}`,
			message(`{"statusCode":`+status+`,"identity":"ann"}`), message(`{"identity":"ann","status":`+status+`}`))
	}
	for _, body := range []string{
		`{}`, `{"authenticated":false}`, `{"authenticated":true}`, `{"ok":true}`, `{"allowed":true,"user":"ann"}`, `{"name":"ann"}`, `{"sub":"ann"}`,
		`{"Identity":"ann"}`, `{"IDENTITY":"ann"}`, `{"identity ":"ann"}`, `{"identity":""}`, `{"identity":null}`, `{"identity":7}`, `{"identity":true}`,
		`{"identity":["ann"]}`, `{"identity":{"name":"ann"}}`, `{"identity":"ann","identity":""}`,
		`{"identity":" ann"}`, `{"identity":"ann "}`, `{"identity":"ann\n"}`, `{"identity":"\tann"}`, `{"identity":"a\r\nUmf-Identity: root"}`, `{"identity":"a\u0000"}`,
		`{"identity":"\u00a0ann"}`, `{"identity":"ann\ufeff"}`, `{"identity":"ann\u2028"}`, `{"identity":"a\u0085b"}`, `{"identity":"a\ud800"}`, `{"identity":"` + strings.Repeat("x", 1025) + `"}`,
		`{"anonymous":false}`, `{"anonymous":"true"}`, `{"anonymous":1}`, `{"anonymous":null}`, `{"Anonymous":true}`, `{"anonymous":[true]}`, `{"anonymous":true,"identity":7}`, `{"anonymous":true,"identity":"a\n"}`,
		`{"identity":"ann","error":"no"}`, `{"identity":"ann","error":null}`, `{"identity":"ann","error":false}`, `{"identity":"ann","error":""}`, `{"anonymous":true,"error":{}}`,
		`{"identity":"ann","exp":1800000000}`, `{"identity":"ann","exp":1}`, `{"identity":"ann","exp":0}`, `{"identity":"ann","exp":-1}`, `{"identity":"ann","exp":-1e400}`,
		`{"identity":"ann","exp":"1900000000"}`, `{"identity":"ann","exp":null}`, `{"identity":"ann","exp":"soon"}`, `{"identity":"ann","exp":true}`, `{"identity":"ann","exp":[1900000000]}`,
		`{"identity":"ann","typ":"error"}`,
	} {
		answers = append(answers, `{"result":`+body+`}`, message(body))
	}
	for _, answer := range answers {
		if id, err := verdict(nil, answer); err == nil || id != (Identity{}) {
			t.Errorf("%s: %+v, %v", answer, id, err)
		} else if errors.Is(err, ErrUnchecked) {
			t.Errorf("%s is told as a fault of the service", answer)
		}
	}
	for _, name := range []string{"Nats-Service-Error", "nats-service-error", "NATS-SERVICE-ERROR-CODE", "Nats-Service-Error-Code", "Nats-Service-Error ", "Status", "status", "Umf-Status", "X-HTTP-STATUS"} {
		for _, values := range [][]string{{"401"}, {""}, nil} {
			if id, err := verdict(map[string][]string{name: values}, `{"result":`+yes+`}`); err == nil || id != (Identity{}) {
				t.Errorf("%s %q: %+v, %v", name, values, id, err)
			}
		}
	}
}

// TestVerdictStatusHeaders: a status in a header counts as one in the answer does.
func TestVerdictStatusHeaders(t *testing.T) {
	for value, want := range map[string]error{
		"200": nil, " 204 ": nil, "299": nil, "300": ErrRefused, "199": ErrRefused, "0": ErrRefused, "OK": ErrRefused, "200 OK": ErrRefused,
		"-200": ErrRefused, "2": ErrRefused, "403": ErrRefused, "429": ErrUnchecked, "503": ErrUnchecked,
	} {
		for _, header := range []map[string][]string{{"Status": {value}}, {"sTATUS": {value}}, {"Umf-Status": {value}}, {"Umf-Status": {value, "200"}, "Status": {"200"}}} {
			if id, err := verdict(header, `{"result":{"identity":"ann"}}`); !errors.Is(err, want) || (err == nil) != (id.Name == "ann") {
				t.Errorf("%v: %+v, %v", header, id, err)
			}
		}
	}
	if _, err := verdict(map[string][]string{"Statusx": {"403"}, "X-Statuses": {"403"}, "Description": {"no"}}, `{"result":{"identity":"ann"}}`); err != nil {
		t.Errorf("headers that are no status: %v", err)
	}
}

// TestVerdictUnchecked: a service that says that the fault is its own has not said
// no. It has not said yes either.
func TestVerdictUnchecked(t *testing.T) {
	for _, test := range []struct {
		header map[string][]string
		data   string
		want   error
	}{
		{map[string][]string{"Nats-Service-Error": {"down"}, "Nats-Service-Error-Code": {"503"}}, ``, ErrUnchecked},
		{map[string][]string{"Nats-Service-Error": {"slow down"}, "Nats-Service-Error-Code": {"429"}}, `{"result":{"identity":"ann"}}`, ErrUnchecked},
		{map[string][]string{"Nats-Service-Error": {"no"}, "Nats-Service-Error-Code": {"401"}}, ``, ErrRefused},
		{nil, `{"statusCode":500,"result":{"identity":"ann"}}`, ErrUnchecked},
		{nil, `{"statusCode":401,"result":{"identity":"ann"}}`, ErrRefused},
		{nil, `{"result":{}}`, ErrVerdict},
	} {
		if id, err := verdict(test.header, test.data); !errors.Is(err, test.want) || id != (Identity{}) {
			t.Errorf("%v %s: %+v, %v", test.header, test.data, id, err)
		}
	}
}

// FuzzReadVerdict: only an answer that says yes, and in which nothing says no, lets
// a client in.
func FuzzReadVerdict(f *testing.F) {
	for _, text := range []string{
		`{"result":{"identity":"ann","exp":19e8}}`, `{"statusCode":200,"result":{"identity":"ann","error":null}}`, `{"result":{"anonymous":true}}`,
		`{"to":"a:/","frm":"b:/","bdy":{"identity":"ann"}}`, `{"to":"a:/","frm":"b:/","typ":"error","bdy":{"identity":"ann"}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		id, err := verdict(nil, string(text))
		if err != nil {
			if id != (Identity{}) {
				t.Errorf("%q is an error and %+v", text, id)
			}
			return
		}
		var whole, body map[string]json.RawMessage
		if err := json.Unmarshal(text, &whole); err != nil {
			t.Fatalf("%q is taken: %v", text, err)
		}
		for _, key := range []string{"bdy", "body", "result"} {
			if json.Unmarshal(whole[key], &body) == nil && (body["identity"] != nil || body["anonymous"] != nil) {
				break
			}
			body = nil
		}
		var name string
		if json.Unmarshal(body["identity"], &name) != nil && string(body["anonymous"]) != "true" || name != id.Name && !strings.Contains(id.Name, "\ufffd") {
			t.Errorf("%q is taken as %+v", text, id)
		}
		if !id.Expires.IsZero() && !id.Expires.After(now) {
			t.Errorf("%q is taken until %v", text, id.Expires)
		}
		for _, object := range []map[string]json.RawMessage{whole, body} {
			if _, refused := object["error"]; refused {
				t.Errorf("%q is taken", text)
			}
			for _, key := range []string{"statusCode", "status"} {
				var status int
				if code, there := object[key]; there && (json.Unmarshal(code, &status) != nil || status < 200 || status > 299) {
					t.Errorf("%q is taken", text)
				}
			}
		}
	})
}

// TestQuestion: services read the members by name, and their order is as it was.
func TestQuestion(t *testing.T) {
	text, err := json.Marshal(Question{IP: "192.0.2.1", Origin: "o", Token: "t", URL: "/u"})
	if want := `{"ip":"192.0.2.1","origin":"o","token":"t","url":"/u"}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}
