package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"hydrant/umf"
)

// TestParseResume: keys are read as JavaScript reads them.
func TestParseResume(t *testing.T) {
	for _, test := range []struct {
		body, id, token string
		seq, attempt    uint64
		err             error
	}{
		{body: `{"id":"a"}`, id: "a"},
		{body: `{"id":"a","attempt":3}`, id: "a", attempt: 3},
		{body: `{"id":"a","attempt":"18446744073709551615"}`, id: "a", attempt: 1<<64 - 1},
		{body: `{"id":"a","attempt":null}`, id: "a"},
		{body: `{"id":"a","attempt":-3}`, err: ErrAttempt},
		{body: `{"id":"a","attempt":1.5}`, err: ErrAttempt},
		{body: `{"id":"a","attempt":{}}`, err: ErrAttempt},
		{body: `{"id":"a","token":"t","seq":"7"}`, id: "a", token: "t", seq: 7},
		{body: `{"id":"a","ID":"b","Token":"t","SEQ":9}`, id: "a"},
		{body: `{"id":"a","\u0069d":"\u0062","seq":7,"seq":null}`, id: "b"},
		{body: `{"id":"a","token":7}`, id: "a"},
		{body: `{"ID":"a"}`, err: ErrNoID},
		{body: `{"id":""}`, err: ErrNoID},
		{body: `{"id":7}`, err: ErrNoID},
		{body: `["id"]`, err: ErrNoID},
		{body: `{"id":"a","seq":-1}`, err: ErrSequence},
		{body: `{"id":"a","seq":"x"}`, err: ErrSequence},
	} {
		r, err := ParseResume([]byte(test.body))
		if !errors.Is(err, test.err) || err == nil && (r.ID != test.id || r.Token != test.token || r.Seq != test.seq || r.Attempt != test.attempt || r.HasSeq != (test.seq > 0)) {
			t.Errorf("%s: %+v, %v", test.body, r, err)
		}
	}
}

// TestFindResume: an offer is read as it is written, or refused without a word of it.
func TestFindResume(t *testing.T) {
	type resume = Resume
	for _, test := range []struct {
		offered string
		want    *resume
		bad     bool
	}{
		{offered: "umf.v1"},
		{offered: "umf.v1,umf.auth.a.b.3"},
		{offered: "umf.resume.a.t.3,umf.v1", want: &resume{ID: "a", Token: "t", Attempt: 3}},
		{offered: "umf.v1,umf.resume.a.t-_.18446744073709551615.0", want: &resume{ID: "a", Token: "t-_", Attempt: 1<<64 - 1, HasSeq: true}},
		{offered: "umf.ack.v1,umf.resume.a.t.0.412", want: &resume{ID: "a", Token: "t", Seq: 412, HasSeq: true}},
		{offered: "umf.resume,umf.resumed.a.t.3,UMF.resume.a.t.3"},
		{offered: "umf.resume.", bad: true},
		{offered: "umf.resume.a", bad: true},
		{offered: "umf.resume.a.t", bad: true},
		{offered: "umf.resume.a.t.", bad: true},
		{offered: "umf.resume.a..3", bad: true},
		{offered: "umf.resume..t.3", bad: true},
		{offered: "umf.resume.a.t.-3", bad: true},
		{offered: "umf.resume.a.t.+3", bad: true},
		{offered: "umf.resume.a.t.3x", bad: true},
		{offered: "umf.resume.a.t.18446744073709551616", bad: true},
		{offered: "umf.resume.a.t.3.", bad: true},
		{offered: "umf.resume.a.t.3.x", bad: true},
		{offered: "umf.resume.a.t.3.4.5", bad: true},
		{offered: "umf.resume.a.t.3,umf.resume.a.t.3", bad: true},
		{offered: "umf.resume.a.t.3,umf.resume.x", bad: true},
	} {
		r, err := FindResume(strings.Split(test.offered, ","))
		if errors.Is(err, ErrOffer) != test.bad || !reflect.DeepEqual(r, test.want) {
			t.Errorf("%s: %+v, %v", test.offered, r, err)
		}
	}
}

func TestParseSequence(t *testing.T) {
	for _, test := range []struct {
		body string
		seq  uint64
		bad  bool
	}{
		{body: `{"seq":"412"}`, seq: 412},
		{body: `{"seq":412}`, seq: 412},
		{body: `{"seq":"18446744073709551615"}`, seq: 1<<64 - 1},
		{body: `{"seq":18446744073709551616}`, bad: true},
		{body: `{"seq":1e3}`, bad: true},
		{body: `{"seq":""}`, bad: true},
		{body: `{"seq":null}`, bad: true},
		{body: `{"Seq":1}`, bad: true},
		{body: `{}`, bad: true},
		{body: `412`, bad: true},
	} {
		seq, err := ParseSequence([]byte(test.body))
		if seq != test.seq || errors.Is(err, ErrSequence) != test.bad {
			t.Errorf("%s: %d, %v", test.body, seq, err)
		}
	}
}

// FuzzBodies reads whatever a client or a service may send. What comes out of it
// is JSON.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		"", "plain text", `{"id":"a","token":"t","seq":"7"}`, `{"seq":"`, `{"result":{"x":1}}`, `{ "a" : 1 , "x-seq" : "9" }`,
		`{"to":"a:/","frm":"b:/","hdr":{"x-seq":"9"},"bdy":{"id":"a"}}`, "\xff", `{"statusCode":200,"result":[1]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := ParseResume(data); err == nil && r.ID == "" {
			t.Error("a resume without an id")
		}
		_, _ = ParseSequence(data)
		var e umf.Envelope
		if body := AnswerBody(&e, data); !json.Valid(body) {
			t.Errorf("AnswerBody returns %q", body)
		}
		if text := AppendError(nil, CodeInvalid, Quote(data)); !json.Valid(text) {
			t.Errorf("AppendError returns %q", text)
		}
		if umf.Scan(fmt.Appendf(nil, `{"hdr":%s}`, data), &e) == nil {
			if headers := AppendSequence(nil, e.Raw(umf.Headers), 2, 1); !json.Valid(headers) || string(umf.Member(headers, "x-seq")) != `"2"` {
				t.Errorf("AppendSequence returns %q", headers)
			}
		}
	})
}
