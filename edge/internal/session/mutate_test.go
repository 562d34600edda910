//go:build mutate

package session_test

import (
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"hydrant/edge/internal/mutate"
)

// The mutation test takes the rules out of the machine, one by one, and shows that
// the model notices each of them:
//
//	go test -tags mutate -run TestMutations -v -timeout 30m ./edge/internal/session
//
// A rule is taken out by another text in its place, in an overlay of the package's
// files.

var (
	mutantSteps = flag.Int("mutant-steps", 30_000_000, "steps of the model for each mutation")
	mutantOnly  = flag.String("mutant", "", "part of the name of the only mutations to try")
)

// shortcuts are rules whose work others of the model would do, later or with another
// word to the client; the transcripts notice them.
var shortcuts = map[string]string{
	"tail: an answer from before an attach is void":                  "its links hold all the same, or are in doubt",
	"tail: in doubt the store is asked first":                        "nothing is proven in doubt, so that it is read",
	"tail: a position that is another's is a rollback":               "the read that follows finds it",
	"a claimed position is doubted where the log may have gone back": "another log would have to end just there, and no time be known at all",
	"what lies before a client's position that is gone tells":        "owners of the model have notes of all logs that are gone",
	"a position that is not met where it was is of another log":      "only a second rollback after it would be told of for nothing, once in a hundred million steps",
	"a lost connection voids a read":                                 "the next attach voids it, and what it brings is compared like any other",
	"a trusted position that is another's is a rollback":             "the oldest message tells as much",
	"what is passed over is not younger":                             "a replica would have to lag for longer than those of the model",
	"barriers of the old log are void":                               "two logs would have to have the same sequence at the barrier",
}

// mutations say which text is to be put for another, once in a file.
var mutations = []struct{ rule, file, text, instead string }{
	{"without a time the owner tells the log", "verdict.go",
		"if b.Back && s.Unproved() {", "if false {"},
	{"a claimed position is doubted where the log may have gone back", "attach.go",
		"l.doubt = l.doubt || l.aged()\n", "l.doubt = l.doubt || l.aged() && (s.confirm.floorTime != 0 || s.confirm.seenTime != 0)\n"},
	{"a position that is not met where it was is of another log", "live.go",
		"if l.cursor < c.seen && c.seen <= m.Seq && (m.Seq", "if false && (m.Seq"},
	{"what is stored of an aged log says so", "session.go",
		"func (s *Session) Aged() bool { return s.log.age == oldLog }", "func (s *Session) Aged() bool { return false }"},
	{"live: a copy continues the cursor", "live.go",
		"c.Seq > l.cursor && c.Prev <= l.cursor &&", "c.Seq > l.cursor &&"},
	{"behind: a held copy continues the cursor", "catchup.go",
		"if c == nil || c.Prev > s.log.cursor {\n\t\t\tbreak", "if c == nil {\n\t\t\tbreak"},
	{"a predecessor below the anchor continues nothing", "live.go",
		"case prev >= l.anchor:", "case true:"},
	{"tail: a copy continues the cursor", "tail.go",
		"case c.Prev > l.cursor || !s.open():", "case !s.open():"},
	{"tail: a predecessor below the anchor continues nothing", "tail.go",
		"case !s.proven(c.Seq, c.Prev):", "case false:"},
	{"tail: in doubt the store is asked first", "tail.go",
		"to == 0 || l.doubt || l.origin", "to == 0 || l.origin"},
	{"tail: an answer from before an attach is void", "tail.go",
		"\tif !void {\n\t\ts.takeCopies", "\tif !void || true {\n\t\ts.takeCopies"},
	{"tail: a full window takes no more", "tail.go",
		"case c.Prev > l.cursor || !s.open():", "case c.Prev > l.cursor:"},
	{"tail: a position that is another's is a rollback", "reader.go",
		"case s.reader.place && b.Anchor != Present && !(b.Anchor == Foreign && s.trusted()):", "case s.reader.place && b.Anchor != Present:"},
	{"an answer that ends below what was seen is asked again", "reader.go",
		"case b.HasLast && b.Last < s.reader.known:", "case false:"},
	{"an empty answer below what the leader has is asked again", "catchup.go",
		"case b.Next != 0 && b.Next <= aim:", "case false:"},
	{"the first marker is the first floor", "live.go",
		"c.floor, c.written = m.Seq, m.Seq\n", "\n"},
	{"a lost connection voids copies, markers and reads", "attach.go",
		"if !s.active() {\n\t\treturn\n\t}\n\ts.offline, s", "if true {\n\t\treturn\n\t}\n\ts.offline, s"},
	{"without a connection no copy and no marker counts", "live.go",
		"case s.offline, s.renewed", "case s.renewed"},
	{"copies before the marker of a new connection do not count", "live.go",
		"case s.offline, s.renewed && (c.Mark == 0 || c.Mark != s.mark):", "case s.offline:"},
	{"a lost connection voids a read", "attach.go",
		"\ts.reader.abandon()\n\tfx.Timer(0)", "\tfx.Timer(0)"},
	{"after a loss the log may be another one", "attach.go",
		"l.doubt = l.doubt || l.youngest != 0", "_ = l"},
	{"a position older than the connection is asked for", "attach.go",
		"s.log.age = oldPositions\n", "\n"},
	{"the position must have its time", "verdict.go",
		"want != b.AnchorTime:", "want == 1:"},
	{"the entry has the floor's time", "attach.go",
		"youngest: p.FloorTime, weak", "weak"},
	{"the read begins at the anchor", "reader.go",
		"from = min(from, max(s.log.recheck, s.reader.asked+1))", "from = max(from, s.log.recheck)"},
	{"what is younger below the cursor is another log's", "catchup.go",
		"if s.log.younger(m.Time) && (v != dropped || m.Seq >= b.Oldest) {", "if false {"},
	{"all up to the cursor is compared", "catchup.go",
		"s.log.recheck = last + 1 // as", "s.log.believe() // as"},
	{"the message before the marker is compared", "verdict.go",
		"case asked <= l.cursor && !s.reader.place && l.younger(b.AnchorTime):", "case false:"},
	{"a trusted position that is another's is a rollback", "verdict.go",
		"if s.trusted() {", "if false {"},
	{"an anchor that an older message outlived is a rollback", "verdict.go",
		"case l.missing == foreign, l.claimed && l.youngest == 0, s.reader.asked != 0 && s.strong() && oldest < s.reader.asked:", "case false:"},
	{"what lies before a client's position that is gone tells", "verdict.go",
		"\t\tif !m.Mark {\n", "\t\tif false {\n"},
	{"where no position is there, the oldest message tells", "verdict.go",
		"if l.aged() && l.cursor > 0 {\n\t\tl.lost, l.doubt = true, true", "if false {\n\t\tl.lost, l.doubt = true, true"},
	{"an overflow may hide a rollback", "verdict.go",
		"from = 1 //", "from += 0 //"},
	{"a message with a TTL is no anchor", "live.go",
		"case !m.TTL:", "case true:"},
	{"the anchor beside the floor is asked for", "verdict.go",
		"if s.reader.asked != 0 && s.witness(true) != 0 {", "if false {"},
	{"an end of a gap is no anchor", "verdict.go",
		"l.anchor, l.anchorTime, l.weak = 0, 0, true", "l.anchor, l.anchorTime, l.weak = l.cursor, 0, true"},
	{"behind a gap a predecessor proves nothing", "live.go",
		"case l.anchor == 0:\n\t\treturn false", "case l.anchor == 0:\n\t\treturn true"},
	{"a marker at or below what was seen is a rollback", "attach.go",
		"if c.Seq <= s.since {", "if false {"},
	{"a marker that copies overtook is sent again", "attach.go",
		"} else if !s.fresh && max(s.log.missed, s.log.held.last()) > c.Seq {", "} else if false {"},
	{"a gap needs room in the window", "catchup.go",
		"if !s.open() && (c.Mark == 0 || s.tells(c.Seq, first)) {", "if false {"},
	{"behind a gap a message needs room", "catchup.go",
		"if !s.open() && c.Mark == 0 {\n\t\t\tbreak // the gap", "if false {\n\t\t\tbreak // the gap"},
	{"one place has one gap", "catchup.go",
		"l.believe() // whatever", "_ = l // whatever"},
	{"what was dropped is told", "catchup.go",
		"case v == dropped && from < m.Seq:", "case false:"},
	{"the mailbox may drop while a batch is read", "catchup.go",
		"if m.Seq >= b.Oldest {\n", "if true {\n"},
	{"an overflow never empties a mailbox", "live.go",
		"return Expired\n\t}\n\treturn Overflow", "return Overflow\n\t}\n\treturn Expired"},
	{"what is passed over is not younger", "log.go",
		"l.youngest = max(l.youngest, l.missedTime)", "_ = 0"},
	{"confirmations of the old log are exact", "confirm.go",
		"if c.rolled != 0 {", "if false {"},
	{"barriers of the old log are void", "attach.go",
		"c.epoch++", ""},
	{"a barrier has the time of what it confirms", "confirm.go",
		"c.barrierLoose, c.barrierTime = c.loose, c.writtenTime", "c.barrierLoose, c.barrierTime = c.loose, 1"},
	{"a confirmation has the time of what it confirms", "confirm.go",
		"floor, at = entry, stored", "floor, at = entry, stored+1"},
	{"the anchor beside the floor must have its time", "verdict.go",
		"want = c.seenTime", "want = 0"},
	{"the gap of a rollback has no time", "confirm.go",
		"if i == int(c.rolled)-1 {", "if false {"},
	{"a gap has no time", "live.go",
		"c.written, c.writtenTime, c.loose = g.To, 0, true\n\tc.push(g.To, 0, true)", "c.written, c.loose = g.To, true\n\tc.push(g.To, c.writtenTime, true)"},
}

// build compiles the tests with one mutation.
func build(t *testing.T, file, text, instead string) string {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(src), text); n != 1 {
		t.Fatalf("%q is there %d times in %s", text, n, file)
	}
	return mutate.Build(t, map[string][]byte{file: []byte(strings.Replace(string(src), text, instead, 1))})
}

// try runs one test with a mutation. Empty: it has not noticed.
func try(program, test string) string {
	return mutate.Try(exec.Command(program, "-test.run", "^"+test+"$", "-steps", strconv.Itoa(*mutantSteps), "-test.timeout", "3m"))
}

func TestMutations(t *testing.T) {
	for _, m := range mutations {
		if !strings.Contains(m.rule, *mutantOnly) {
			continue
		}
		t.Run(m.rule, func(t *testing.T) {
			program := build(t, m.file, m.text, m.instead)
			model, transcripts := try(program, "TestModel"), try(program, "TestTranscripts|FuzzEvents|TestResumeVerdicts")
			t.Logf("model: %s\n\tothers: %s", model, transcripts)
			switch why := shortcuts[m.rule]; {
			case model == "" && why == "":
				t.Errorf("the model does not notice it")
			case model+transcripts == "":
				t.Errorf("nothing notices it")
			}
		})
	}
}
