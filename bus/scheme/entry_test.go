package scheme

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func testEntry() Entry {
	return Entry{
		Node: testNode, State: StateLive, Floor: 5, Seen: 7, TokenHash: []byte{1, 2, 3}, Identity: "alice",
		Acked: true, Opened: time.Unix(1700000000, 0).UTC(),
	}
}

func sameEntry(a, b Entry) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

func TestEntryJSON(t *testing.T) {
	for _, c := range []struct {
		e    Entry
		text string
	}{
		{testEntry(), `{"n":"` + testNode + `","s":1,"f":5,"e":7,"t":"AQID","i":"alice","k":true,"o":1700000000}`},
		{Entry{Node: testNode, State: StateParked, Floor: 9, Seen: 9}, `{"n":"` + testNode + `","s":2,"f":9}`},
	} {
		text, err := json.Marshal(c.e)
		if err != nil || string(text) != c.text {
			t.Errorf("%s, %v", text, err)
		}
		var got Entry
		if err := json.Unmarshal(text, &got); err != nil || !sameEntry(got, c.e) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for _, bad := range []string{`{}`, `[]`, `{"n":"x","s":1}`, `{"n":"` + testNode + `","s":9}`, `{"n":"` + testNode + `"}`, `{"n":"` + testNode + `","s":1,"f":-1}`} {
		var e Entry
		if err := json.Unmarshal([]byte(bad), &e); err == nil {
			t.Errorf("%s is an entry", bad)
		}
	}
}

func FuzzEntry(f *testing.F) {
	f.Add([]byte(`{"n":"` + testNode + `","s":1,"f":5,"e":7,"t":"AQID","i":"alice","k":true,"a":"of another version","o":1700000000}`))
	f.Add([]byte(`{"n":"` + testNode + `","s":2,"e":3,"f":9}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e, again Entry
		if json.Unmarshal(data, &e) != nil {
			return
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &again); err != nil || !sameEntry(e, again) {
			t.Fatalf("%s: %+v, %v", text, again, err)
		}
	})
}
