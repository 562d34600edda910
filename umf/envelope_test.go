package umf

import (
	"errors"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	const ok = fieldCount
	tests := []struct {
		text string
		want Field
	}{
		{`{"to":"a:/","frm":"b:/","bdy":{}}`, ok},
		{`{"to":"a:/","from":"b:/","body":"x"}`, ok},
		{`{"to":"a:/","frm":"b:/","bdy":42}`, ok},
		{`{"to":"a:/","frm":"b:/","bdy":true}`, ok},
		{`{"to":"a:/","frm":"b:/","bdy":[]}`, ok},
		{`{"to":"a:/","frm":"b:/","bdy":{},"fwd":"c:/"}`, ok},
		{`{"to":"a:/","frm":"b:/","bdy":{},"fwd":null}`, ok},
		{`{"to":"a:/","frm":"b:/","bdy":{},"typ":{},"mid":7}`, ok},
		{`{"frm":"b:/","bdy":{}}`, To},
		{`{"to":null,"frm":"b:/","bdy":{}}`, To},
		{`{"to":"","frm":"b:/","bdy":{}}`, To},
		{`{"to":0,"frm":"b:/","bdy":{}}`, To},
		{`{"to":false,"frm":"b:/","bdy":{}}`, To},
		{`{"to":7,"frm":"b:/","bdy":{}}`, To},
		{`{"to":{},"frm":"b:/","bdy":{}}`, To},
		{`{"to":["a:/"],"frm":"b:/","bdy":{}}`, To},
		{`{"TO":"a:/","frm":"b:/","bdy":{}}`, To},
		{`{"to":"a:/","bdy":{}}`, From},
		{`{"to":"a:/","frm":[],"bdy":{}}`, From},
		{`{"to":"a:/","frm":"b:/"}`, Body},
		{`{"to":"a:/","frm":"b:/","bdy":null}`, Body},
		{`{"to":"a:/","frm":"b:/","bdy":""}`, Body},
		{`{"to":"a:/","frm":"b:/","bdy":-0.0}`, Body},
		{`{"to":"a:/","frm":"b:/","bdy":false}`, Body},
		{`{"to":"a:/","frm":"b:/","bdy":{},"fwd":7}`, Forward},
		{`{"to":"a:/","frm":"b:/","bdy":{},"forward":{"a":1}}`, Forward},
		{`{"to":"a:/","frm":"b:/","bdy":{},"fwd":true}`, Forward},
	}
	for _, test := range tests {
		e := mustScan(t, test.text)
		err := e.Check()
		var bad *FieldError
		if !errors.As(err, &bad) {
			if err != nil || test.want != ok {
				t.Errorf("%s: %v", test.text, err)
			}
			continue
		}
		falsy := e.CheckAnswer() == nil // an answer may be falsy, and is nothing else that Check refuses
		if falsy != (test.want == Body && e.Has(Body)) {
			t.Errorf("%s as an answer: %v", test.text, e.CheckAnswer())
		}
		if bad.Field != test.want || !strings.HasPrefix(err.Error(), "umf: "+test.want.Long()+" is ") {
			t.Errorf("%s: %v", test.text, err)
		}
	}
}

func TestReset(t *testing.T) {
	e := mustScan(t, `{"from":"b","x":1}`)
	e.Reset()
	if e.Has(From) || e.Raw(From) != nil || e.IsShort() || e.text != nil {
		t.Errorf("after Reset: %+v", e)
	}
	if got := string(e.AppendShort(nil, Set{To, []byte(`"a"`)})); got != `{"to":"a"}` {
		t.Errorf("after Reset: %s", got)
	}
}

func TestFieldNames(t *testing.T) {
	for f := range fieldCount {
		for _, key := range []string{f.Long(), f.Short()} {
			got, long, ok := lookupField(key)
			if got != f || !ok || long != (key != f.Short()) {
				t.Errorf("lookup of %s: %v, %v, %v", key, got, long, ok)
			}
		}
		if f.String() != f.Long() {
			t.Errorf("String of %s is %s", f.Long(), f)
		}
	}
	if f := Field(200); f.Long() != "unknown" || f.Short() != "unknown" {
		t.Errorf("a field that is none is called %s, %s", f.Long(), f.Short())
	}
}
