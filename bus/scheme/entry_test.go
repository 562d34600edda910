package scheme

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func testEntry() Entry {
	return Entry{
		Node: testNode, State: StateLive, Position: Position{Floor: 5, Seen: 7}, TokenHash: []byte{1, 2, 3}, Identity: "alice",
		Acked: true, Opened: 1700000000,
	}
}

func sameEntry(a, b Entry) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

func TestEntryJSON(t *testing.T) {
	full := testEntry()
	full.FloorTime, full.SeenTime, full.Attempt, full.Doubt = 1700000000123456789, 1700000000023456789, 3, true
	for _, c := range []struct {
		e    Entry
		text string
	}{
		{testEntry(), `{"v":3,"n":"` + testNode + `","s":3,"f":5,"e":7,"t":"AQID","i":"alice","k":true,"o":1700000000}`},
		{full, `{"v":3,"n":"` + testNode + `","s":3,"f":5,"e":7,"m":1700000000123456789,"p":1700000000023456789,"t":"AQID","i":"alice","k":true,"a":3,"d":true,"o":1700000000}`},
		{Entry{Node: testNode, State: StateParked, Position: Position{Floor: 9, Seen: 9}}, `{"v":3,"n":"` + testNode + `","s":4,"f":9}`},
		{Entry{Node: testNode, State: StateParked, Position: Position{Floor: 9, FloorTime: 0, Seen: 9, SeenTime: 0}, TokenOnly: true}, `{"v":3,"n":"` + testNode + `","s":4,"f":9,"g":true}`},
		{Entry{Node: testNode, State: StateParked, Position: Position{Floor: 9, FloorTime: 5, Seen: 9, SeenTime: 5}}, `{"v":3,"n":"` + testNode + `","s":4,"f":9,"m":5}`},
		{Entry{Node: testNode, State: StateParked, Position: Position{Floor: 9, FloorTime: 0, Seen: 9, SeenTime: 5}}, `{"v":3,"n":"` + testNode + `","s":4,"f":9,"e":9,"p":5}`},
		{Entry{Node: testNode, State: StateParked, Position: Position{Back: true}}, `{"v":3,"n":"` + testNode + `","s":4,"r":true}`},
		{Entry{Node: testNode, State: StateParked, Position: Position{Floor: 9, Seen: 9, Unsure: true}}, `{"v":3,"n":"` + testNode + `","s":4,"f":9,"u":true}`},
		{Entry{Node: testNode, State: StateParked, Position: Position{Floor: 9, Seen: 9, Unsure: true, Sure: 7}}, `{"v":3,"n":"` + testNode + `","s":4,"f":9,"u":true,"c":7}`},
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
	const node = `"n":"` + testNode + `"`
	for _, bad := range []string{
		`{}`, `[]`, `{"n":"x","s":1}`, `{` + node + `,"s":9}`, `{` + node + `}`, `{` + node + `,"s":1,"f":-1}`, `{` + node + `,"s":3}`,
		`{"v":3,` + node + `,"s":1}`, `{"v":3,` + node + `,"s":2}`, `{"v":3,` + node + `,"s":5}`, `{"v":1,` + node + `,"s":1}`, `{"v":-2,` + node + `,"s":3}`, `{"v":"4"}`,
	} {
		var e Entry
		if err := json.Unmarshal([]byte(bad), &e); err == nil || errors.Is(err, ErrNewerForm) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestEntryFirstForm: an entry that has no number is read as it always was.
func TestEntryFirstForm(t *testing.T) {
	var e Entry
	if err := json.Unmarshal([]byte(`{"n":"`+testNode+`","s":1,"f":5,"e":7,"t":"AQID","i":"alice","k":true,"o":1700000000}`), &e); err != nil || !sameEntry(e, testEntry()) {
		t.Errorf("%+v, %v", e, err)
	}
	if err := json.Unmarshal([]byte(`{"n":"`+testNode+`","s":2,"f":9}`), &e); err != nil || e.State != StateParked || e.Seen != 9 {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestEntrySecondForm: the same fields, by nodes that listened to other subjects.
func TestEntrySecondForm(t *testing.T) {
	var e Entry
	if err := json.Unmarshal([]byte(`{"v":2,"n":"`+testNode+`","s":4,"f":9}`), &e); err != nil || e.State != StateParked || e.Floor != 9 {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestEntryNewerForm: whatever a later version writes is told from junk, and the
// text says which number was met.
func TestEntryNewerForm(t *testing.T) {
	for _, text := range []string{
		`{"v":4,"n":"` + testNode + `","s":3}`, `{"v":4}`, `{"v":4,"n":7,"s":"live","f":{"log":"x"}}`, `{"v":4,"t":"not base64"}`,
	} {
		var e Entry
		if err := json.Unmarshal([]byte(text), &e); !errors.Is(err, ErrNewerForm) || !strings.Contains(err.Error(), "number 4") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestEntryText: an entry is written as encoding/json would, and what is written is read
// without it.
func TestEntryText(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func(n uint64) uint64 { return n * random.Uint64N(2) }
	names := []string{"", "alice", "a \"b\" \\ c", "<&>", "\u2028 ü", "\x00\x7f", "\xff"}
	for range 2000 {
		seen := some(random.Uint64())
		j := entryJSON{
			Form: int(some(3)), Node: testNode, State: State(random.Uint64N(256)), Holder: some(math.MaxUint64), Start: some(random.Uint64()), Floor: some(7),
			FloorTime: int64(some(random.Uint64())), SeenTime: int64(some(math.MaxInt64)), Token: make([]byte, some(random.Uint64N(40))),
			Identity: names[random.IntN(len(names))], Acked: some(1) == 1, Attempt: some(9), Doubt: some(1) == 1, TokenOnly: some(1) == 1,
			Opened: int64(some(1700000000)), Back: some(1) == 1, Unsure: some(1) == 1, Sure: some(random.Uint64()),
		}
		if some(1) == 1 {
			j.Seen = &seen
		}
		want, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		text := j.appendText(nil)
		if string(text) != string(want) {
			t.Fatalf("%s\nis written as\n%s", want, text)
		}
		own := j.FloorTime >= 0 // the time of a message
		for i := range len(j.Identity) {
			own = own && plain(j.Identity[i])
		}
		var again entryJSON
		if got := again.parse(text); got != own {
			t.Fatalf("%s is read here: %v", text, got)
		} else if got && string(again.appendText(nil)) != string(text) {
			t.Fatalf("%s is read as %s", text, again.appendText(nil))
		}
	}
}

// TestEntryOtherText: what no node writes is left to encoding/json.
func TestEntryOtherText(t *testing.T) {
	for _, text := range []string{
		``, `{`, `}`, `{}x`, `null`, `[]`, ` {}`, `{ }`, `{"n":"a"} `, `{"n":"a",}`, `{"n":"a" }`, `{"n":"a","n":"b"}`, `{"s":1,"n":"a"}`,
		`{"f":01}`, `{"f":-1}`, `{"f":1.0}`, `{"f":1e3}`, `{"f":}`, `{"f":18446744073709551616}`, `{"m":9223372036854775808}`, `{"s":256}`,
		`{"k":false}`, `{"k":tru`, `{"t":"?"}`, `{"i":"\n"}`, `{"i":"a`, `{"N":"a"}`, `{"n":null}`, `{"z":1}`, `{"v":2147483648}`,
	} {
		if new(entryJSON).parse([]byte(text)) {
			t.Errorf("%s is read", text)
		}
	}
}

func FuzzEntry(f *testing.F) {
	f.Add([]byte(`{"n":"` + testNode + `","s":1,"f":5,"e":7,"t":"AQID","i":"alice","k":true,"a":"of another version","o":1700000000}`))
	f.Add([]byte(`{"n":"` + testNode + `","s":2,"e":3,"f":9}`))
	f.Add([]byte(`{"v":3,"n":"` + testNode + `","s":4,"e":3,"f":9,"m":1700000000123456789,"h":4}`))
	f.Add([]byte(`{"v":4,"n":[]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e, again Entry
		var here, there entryJSON
		if here.parse(data) {
			if err := json.Unmarshal(data, &there); err != nil || !reflect.DeepEqual(here, there) {
				t.Fatalf("%s: %+v, and not %+v: %v", data, here, there, err)
			}
		}
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

func TestHolderText(t *testing.T) {
	for _, c := range [][2]uint64{{1, 0}, {1<<64 - 1, 1<<64 - 1}, {0, 7}} {
		holder, attempt, ok := ParseHolder(HolderText(c[0], c[1]))
		if !ok || holder != c[0] || attempt != c[1] {
			t.Errorf("%v: %d %d %v", c, holder, attempt, ok)
		}
	}
	for _, bad := range []string{"", "1", "1 ", " 1", "1 2 3", "01 2", "1 02", "+1 2", "1  2", "1 18446744073709551616", "a b"} {
		if _, _, ok := ParseHolder(bad); ok {
			t.Errorf("%q is a holder", bad)
		}
	}
}

func TestFormOf(t *testing.T) {
	for text, want := range map[string]int{"": 1, "x": 1, "-3": 1, "0": 1, "2": 2, "17": 17} {
		if got := FormOf(map[string]string{MetaForm: text}); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
	if got := FormOf(nil); got != 1 {
		t.Errorf("none: %d", got)
	}
	if FormOf(Metadata(KindNode, "x")) != Form || FormOf(Metadata(KindService, "x")) != 1 {
		t.Error("a node tells its form, a service has none")
	}
}

// TestPositionBehind: times tell which of two positions is later, where both are known;
// a gap has none, and sequences may have begun again.
func TestPositionBehind(t *testing.T) {
	for _, c := range []struct{ earlier, later Position }{
		{Position{Floor: 4}, Position{Floor: 5}},
		{Position{Floor: 4, FloorTime: 40}, Position{Floor: 5, FloorTime: 50}},
		{Position{Floor: 90, FloorTime: 40}, Position{Floor: 5, FloorTime: 50}},
		{Position{Floor: 90, FloorTime: 1000, Seen: 80, SeenTime: 900}, Position{Floor: 95, Seen: 80, SeenTime: 900}}, // a gap, in this log
		{Position{Floor: 90, FloorTime: 1000, Seen: 80, SeenTime: 900}, Position{Floor: 7, Seen: 6, SeenTime: 2000}},  // a gap, in another one
		{Position{Floor: 90, Seen: 80, SeenTime: 900}, Position{Floor: 95, FloorTime: 1000, Seen: 80, SeenTime: 900}},
		{Position{Floor: 90, Seen: 80, SeenTime: 900}, Position{Floor: 95, Seen: 80, SeenTime: 900}},
	} {
		if !c.earlier.Behind(c.later) || c.later.Behind(c.earlier) || c.later.Behind(c.later) {
			t.Errorf("%+v is not taken for earlier than %+v", c.earlier, c.later)
		}
	}
	// The log went back since the one was written down; the client was told since the other.
	older, newer, back := Position{Floor: 90, FloorTime: 1000}, Position{Floor: 5, FloorTime: 2000}, Position{Back: true}
	if !older.Behind(back) || !back.Behind(newer) || back.Behind(back) || back.Behind(Position{}) {
		t.Error("a log that went back")
	}
}
