package umf

import (
	"encoding/json"
	"os"
	"testing"
)

// TestContentVectors: the vectors are for kits in other languages, too.
func TestContentVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/content.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Message, Content, ID string }
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors) == 0 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	for _, v := range vectors {
		var e Envelope
		if err := Scan([]byte(v.Message), &e); err != nil {
			t.Fatalf("%s: %v", v.Message, err)
		}
		before := string(e.AppendShort(nil))
		got := e.AppendContent([]byte("x"))
		if string(got) != "x"+v.Content || ContentID(got[1:]) != v.ID {
			t.Errorf("%s:\n%s %s, want\n%s %s", v.Message, got[1:], ContentID(got[1:]), v.Content, v.ID)
		}
		if after := string(e.AppendShort(nil)); after != before {
			t.Errorf("%s is sent as %s from now on", before, after)
		}
	}
}
