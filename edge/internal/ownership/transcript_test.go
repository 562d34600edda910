package ownership

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hydrant/bus/scheme"
)

var update = flag.Bool("update", false, "write what happens into the transcripts")

// recorder performs effects by writing them down.
type recorder struct {
	out      *bytes.Buffer
	position scheme.Position
	admit    Refusal
	full     bool // the socket cannot take the session
	settle   bool // the client has something to confirm

	read, write, ask, timer uint32 // last numbers
}

func (r *recorder) say(format string, args ...any) {
	fmt.Fprintf(r.out, "\t"+format+"\n", args...)
}

func (r *recorder) Read(number uint32, sure bool) {
	r.read = number
	r.say("read %d%s", number, word(sure, " sure"))
}

func (r *recorder) Write(number uint32, e *scheme.Entry, rev uint64) {
	r.write = number
	r.say("write %d at %d: %s", number, rev, describe(e))
}

func (r *recorder) Ask(number uint32, e *scheme.Entry, attempt uint64) {
	r.ask = number
	r.say("ask %d: holder %d on %s%s", number, e.Holder, e.Node, word(attempt != 0, fmt.Sprintf(", attempt %d", attempt)))
}

func (r *recorder) Timer(number uint32, d time.Duration) {
	r.timer = number
	r.say("timer %d in %v", number, d)
}

func (r *recorder) Admit(*scheme.Entry) Refusal { return r.admit }

func (r *recorder) Claimed(e *scheme.Entry) bool {
	r.say("claimed%s", word(e.Acked, " acked"))
	return !r.full
}

func (r *recorder) Attach(at scheme.Position, lasting bool) {
	r.position = at
	r.say("attach at %s%s", both(at), word(lasting, " lasting"))
}

func (r *recorder) Reattach(lasting bool)       { r.say("reattach%s", word(lasting, " lasting")) }
func (r *recorder) Position() scheme.Position   { return r.position }
func (r *recorder) Freeze(hold bool)            { r.say("freeze%s", word(hold, " and hold")) }
func (r *recorder) Unsettled()                  { r.say("unsettled") }
func (r *recorder) Thaw()                       { r.say("thaw") }
func (r *recorder) Welcome()                    { r.say("welcome") }
func (r *recorder) Refuse(why Refusal)          { r.say("refuse: %v", why) }
func (r *recorder) HandOver(at scheme.Position) { r.say("hand over at %s", both(at)) }
func (r *recorder) Ended(end End, rev uint64) {
	r.say("ended: %v, revision %d", end, rev)
}

func (r *recorder) Settle() bool {
	r.say("settle")
	return r.settle
}

func word(b bool, s string) string {
	if b {
		return s
	}
	return ""
}

// script runs the events of a transcript.
//
//	open [attempt=N] | claim [attempt=N] [acked]   a new machine, holder 7 on node b
//	X …, A …, B …       an event of one of three, holders 1, 2 and 3 on nodes x, a and b
//	new                 a new schedule of those
//	found REV STATE holder=N [node=N] [floor=N] [time=N] [seen=N] [seentime=N] [start=N] [attempt=N] [doubt] [age=DURATION]
//	absent | garbled | toonew | unread
//	stored REV | refused | unsettled
//	answered given [floor=N] [time=N] [seen=N] [seentime=N] | answered stranger|declined|nobody|silence|live|unasked
//	timeout
//	    n=N in each of these: the answer is to that request, not to the last
//	placed | marker | changed | rolledback | rival | stalled | reconnected | replaced
//	asked [attempt=N] | quiet | closed | discard
//	after DURATION                  the clock goes on; it begins at 10ms
//	position FLOOR [SEEN] [time=N] [seentime=N]    how far delivery has got
//	refuses token|identity | full | settles    what the owner says from now on
//	about                           what the machine says of itself
type script struct {
	t     *testing.T
	out   bytes.Buffer
	now   time.Duration
	seen  *counts
	parts map[string]*part
	*part // the one that the event is for
}

// start is the time at which each schedule begins.
const start = 10 * time.Millisecond

// part is one machine of a transcript.
type part struct {
	name string
	m    *Machine
	r    *recorder
}

// named are the machines of a schedule of several: node and holder id.
var named = map[string]scheme.Entry{"": {Node: "b", Holder: 7},
	"X": {Node: "x", Holder: 1}, "A": {Node: "a", Holder: 2}, "B": {Node: "b", Holder: 3}}

func (sc *script) num(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		sc.t.Fatalf("not a number: %q", s)
	}
	return n
}

// line is one event's words.
type line struct {
	sc   *script
	opts map[string]string
	args []string
}

func (sc *script) parse(words []string) line {
	l := line{sc, map[string]string{}, nil}
	for _, w := range words {
		if k, v, ok := strings.Cut(w, "="); ok {
			l.opts[k] = v
		} else {
			l.args = append(l.args, w)
		}
	}
	return l
}

func (l line) opt(key string) uint64 {
	if v, ok := l.opts[key]; ok {
		return l.sc.num(v)
	}
	return 0
}

func (l line) arg(i int) uint64 {
	if i >= len(l.args) {
		l.sc.t.Fatalf("an argument is missing: %v", l.args)
	}
	return l.sc.num(l.args[i])
}

func (l line) has(w string) bool {
	for _, a := range l.args {
		if a == w {
			return true
		}
	}
	return false
}

func (l line) duration(key string) time.Duration {
	v, ok := l.opts[key]
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		l.sc.t.Fatal(err)
	}
	return d
}

// number is the request that an answer names, or the last one.
func (l line) number(last uint32) uint32 {
	if n := l.opt("n"); n != 0 {
		return uint32(n)
	}
	return last
}

func (l line) position() scheme.Position {
	return scheme.Position{Floor: l.opt("floor"), FloorTime: int64(l.opt("time")), Seen: l.opt("seen"), SeenTime: int64(l.opt("seentime"))}
}

// both writes the two sequences of a position, and their times.
func both(p scheme.Position) string {
	return fmt.Sprintf("%s seen %s", timed(p.Floor, p.FloorTime), timed(p.Seen, p.SeenTime))
}

// timed writes a sequence, and the time of its message if that is known.
func timed(seq uint64, at int64) string {
	if at == 0 {
		return fmt.Sprint(seq)
	}
	return fmt.Sprintf("%d at %d", seq, at)
}

func (l line) entry() *scheme.Entry {
	e := &scheme.Entry{State: scheme.StateLive, Node: "a", Holder: l.opt("holder"), Position: l.position(),
		Start: l.opt("start"), Attempt: l.opt("attempt"), Doubt: l.has("doubt")}
	if l.has("parked") {
		e.State = scheme.StateParked
	}
	if n := l.opts["node"]; n != "" {
		e.Node = scheme.NodeID(n)
	}
	return e
}

func (sc *script) run(text string) {
	words := strings.Fields(text)
	name := ""
	if _, ok := named[words[0]]; ok {
		name, words = words[0], words[1:]
	}
	l := sc.parse(words[1:])
	if words[0] == "open" || words[0] == "claim" {
		sc.begin(name, words[0], l)
		return
	}
	if sc.part = sc.parts[name]; sc.part == nil {
		sc.part = new(part) // for what needs none
	}
	m, r := sc.m, sc.r
	switch words[0] {
	case "new":
		clear(sc.parts)
		sc.now = start
		return
	case "after":
		d, err := time.ParseDuration(l.args[0])
		if err != nil {
			sc.t.Fatal(err)
		}
		sc.now += d
		return
	case "position":
		r.position = scheme.Position{Floor: l.arg(0), FloorTime: int64(l.opt("time")), Seen: l.arg(len(l.args) - 1), SeenTime: int64(l.opt("seentime"))}
		return
	case "refuses":
		r.admit = map[string]Refusal{"token": WrongToken, "identity": WrongIdentity}[l.args[0]]
		return
	case "full":
		r.full = true
		return
	case "settles":
		r.settle = true
		return
	case "about":
		at := m.ParkedAt()
		r.say("%v: holder %d after %d, attempt %d, held %v%s", m.Phase(), m.Holder(), m.Former(), m.Attempt(), m.Held(), word(at != "", " parked at "+string(at)))
		return
	}
	before := m.phase
	if !sc.answer(words[0], l) && !sc.event(words[0], l) {
		sc.t.Fatalf("unknown event %q", text)
	}
	sc.moved(before)
}

// begin makes a machine.
func (sc *script) begin(name, what string, l line) {
	if name == "" {
		clear(sc.parts)
		sc.now = start
	}
	sc.part = &part{name, new(Machine), &recorder{out: &sc.out}}
	sc.parts[name] = sc.part
	e := named[name]
	if what == "open" {
		e.Attempt = l.opt("attempt")
		sc.m.Open(e, sc.r)
	} else {
		sc.m.Claim(e.Node, e.Holder, l.opt("attempt"), l.has("acked"), sc.r)
	}
	sc.moved(Idle)
}

// moved tells of a change of phase.
func (sc *script) moved(before Phase) {
	if sc.m.phase != before {
		sc.r.say("%v to %v", before, sc.m.phase)
		sc.seen.moved(before, sc.m.phase)
	}
}

// answer gives the machine the answer to a request.
func (sc *script) answer(what string, l line) bool {
	m, r := sc.m, sc.r
	switch what {
	case "found":
		m.Found(l.number(r.read), l.entry(), l.arg(0), l.duration("age"), sc.now, r)
	case "absent":
		m.Absent(l.number(r.read), r)
	case "toonew":
		m.TooNew(l.number(r.read), r)
	case "garbled":
		m.Garbled(l.number(r.read), r)
	case "unread":
		m.Unread(l.number(r.read), r)
	case "stored":
		m.Stored(l.number(r.write), l.arg(0), sc.now, r)
	case "refused":
		m.Refused(l.number(r.write), sc.now, r)
	case "unsettled":
		m.Unsettled(l.number(r.write), sc.now, r)
	case "answered":
		reply := map[string]Reply{"given": Given, "stranger": Stranger, "declined": Declined, "nobody": Nobody, "silence": Silence, "live": Live, "unasked": Unasked}
		m.HandedOver(l.number(r.ask), reply[l.args[0]], l.position(), sc.now, r)
	case "timeout":
		m.TimedOut(l.number(r.timer), sc.now, r)
	default:
		return false
	}
	return true
}

// event tells the machine that something has happened.
func (sc *script) event(what string, l line) bool {
	m, r := sc.m, sc.r
	switch what {
	case "placed":
		m.Placed(sc.now, r)
	case "marker":
		r.say("begin %v", m.Marker(sc.now, r))
	case "changed":
		m.Changed(sc.now, r)
	case "rolledback":
		m.RolledBack()
	case "rival":
		m.Rival(sc.now, r)
	case "stalled":
		m.Stalled(sc.now, r)
	case "reconnected":
		m.Reconnected(sc.now, r)
	case "replaced":
		m.Replaced(r)
	case "asked":
		if !m.Asked(l.opt("attempt"), r) {
			r.say("declined")
		}
	case "quiet":
		m.Quiet(r)
	case "closed":
		m.Closed(sc.now, r)
	case "discard":
		m.Discard(r)
	default:
		return false
	}
	return true
}

// play runs one transcript and returns it as it should read.
func play(t *testing.T, text string, c *counts) string {
	sc := &script{t: t, seen: c, parts: map[string]*part{}}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		sc.out.WriteString(line)
		if s := strings.TrimSpace(line); s != "" && s[0] != '#' {
			sc.run(line)
		}
	}
	return sc.out.String()
}

// transcripts calls f with each.
func transcripts(t *testing.T, f func(t *testing.T, file, text string)) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f(t, file, string(text))
		})
	}
}

// TestTranscripts replays testdata/*.txt: events in the first column, effects
// indented below them. Run with -update after a deliberate change, and read the
// difference.
func TestTranscripts(t *testing.T) {
	transcripts(t, func(t *testing.T, file, want string) {
		got := play(t, want, new(counts))
		switch {
		case *update:
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		case got != want:
			t.Errorf("%s: got\n%s", file, got)
		}
	})
}
