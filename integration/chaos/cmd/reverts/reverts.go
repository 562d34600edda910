package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A revert takes one mend out: another text in the place of one that is once in a
// file.
type revert struct {
	name    string
	without string   // what Hydrant does then
	run     []string // flags of chaos
	kinds   []string // by which the checker has to notice
	edits   []edit
}

type edit struct{ file, text, instead string }

func scenario(name string) []string { return []string{"-scenario", name} }

var reverts = []revert{
	{
		name: "absence", without: "what the server says that leads the directory, or thinks that it does, is believed",
		run: scenario("deposed-directory"), kinds: []string{"expired"},
		edits: []edit{{"bus/store/sure.go", "	p, err := d.proven(ctx, scheme.SessionKey(sid), d.met.hit(sid))\n", `	if true {
		e, rev, err = d.getFromLeader(ctx, sid)
		return e, rev, 0, err
	}
	p, err := d.proven(ctx, scheme.SessionKey(sid), d.met.hit(sid))
`}},
	},
	{
		name: "stale", without: "a mailbox that ends below what was seen of it has gone back",
		run:   append(scenario("stale-mailbox"), "-tails", "off"), // else hardly anything is read
		kinds: []string{"I3", "repeated"},
		edits: []edit{{"edge/internal/session/reader.go", "case b.HasLast && b.Last < s.reader.known:", "case false:"}},
	},
	{
		name: "in-flight", without: "a write that is on its way is a rival: five attempts without a pause, then 4501",
		run: scenario("checkpoint-in-flight"), kinds: []string{"4501"},
		edits: []edit{
			{"bus/internal/jet/errors.go", "return e.ErrCode == codeWrongLastSeq\n", "return e.ErrCode == codeWrongLastSeq || e.ErrCode == codeWrongLastConst\n"},
			{"edge/internal/ownership/write.go", `		m.claim.sure = true // a replica that lags would show the same revision again
		m.setPhase(Reading)
		m.read(true, fx)
`, `		if m.tries++; m.tries >= 5 {
			m.refuse(Overtaken, fx)
			return
		}
		m.setPhase(Reading)
		m.read(false, fx)
`},
			{"bus/store/sure.go", "	actx, stop := context.WithTimeout(ctx, jet.AttemptTimeout)\n", `	if true { // of whom the write was refused
		return d.getFromLeader(ctx, sid)
	}
	actx, stop := context.WithTimeout(ctx, jet.AttemptTimeout)
`},
		},
	},
	{
		name: "acknowledgements", without: "a node asks for no acknowledgements: it is ready, and stays, where nothing is stored",
		run: scenario("minority-server"), kinds: []string{"L"},
		edits: []edit{{"edge/node.go", "	n.background.Go(n.watchAcks)\n", ""}},
	},
	{
		name: "unconfirmed", without: "what was not confirmed is told to have failed",
		run: []string{"-duration", "60s", "-nats", "3"}, kinds: []string{"failed"},
		edits: []edit{{"edge/internal/shard/problem.go", "errors.Is(err, store.ErrUnconfirmed), ", ""}},
	},
	{
		name: "late", without: "a request counts though its connection has ended, and sockets have no numbers",
		run: scenario("late-request"), kinds: []string{"4501"},
		edits: []edit{
			{"edge/internal/shard/resume.go", `	if c.conn.HungUp() {
		return // see Hangup
	}
`, ""},
			{"edge/internal/shard/resume.go", "holder, r.Attempt, c.class", "holder, 0*r.Attempt, c.class"},
			{"edge/internal/shard/client.go", `func (c *Client) Hangup() {
	if h := c.want; h != nil {`, `func (c *Client) Hangup() {
	if h := c.want; h != nil && false {`},
		},
	},
	{
		name: "restored", without: "an older entry is a rival's, and a position is always of this log",
		run: scenario("restored-store"), kinds: []string{"4501", "I1"},
		edits: []edit{
			{"edge/internal/ownership/write.go", "	case rev >= m.writer.rev || e.Attempt > m.entry.Attempt:\n", "	case true:\n"},
			{"edge/internal/ownership/hold.go", "	if m.phase != Parking && m.entry.Attempt != 0 && e.Attempt <= m.entry.Attempt {\n", "	if false {\n"},
			{"edge/internal/shard/resume.go", "SeenTime: at.SeenTime, Old: h.s.since.older(at)}", "SeenTime: at.SeenTime}"},
		},
	},
	{
		name: "numbers", without: "a program goes on with the number of the last connection that it kept",
		run: []string{"-duration", "60s"}, kinds: []string{"4501"},
		edits: []edit{{"edge/client/welcome.go", "max(from.Attempt, uint64(time.Now().UnixMilli()))", "max(from.Attempt, 1)"}},
	},
	{
		name: "repetition", without: "a program is told of a repetition that is refused as if it were all that was written",
		run: []string{"-duration", "60s"}, kinds: []string{"failed"},
		edits: []edit{{"edge/client/arrive.go", "sent != nil && sent.twice && !sent.request", "sent != nil && sent.twice && false"}},
	},
	{
		name: "looks", without: "what fails is looked at again after a quarter of a minute, by nodes and by work queues",
		run: scenario("servers-return"), kinds: []string{"slow"},
		edits: []edit{
			{"edge/contract.go", "contractAgain = time.Second", "contractAgain = 15 * time.Second"},
			{"bus/pull.go", "pullHeartbeat = time.Second", "pullHeartbeat = 15 * time.Second"},
		},
	},
}

// apply writes the files without the mend into dir, and returns where each of them
// belongs.
func (r *revert) apply(root, dir string) (replace map[string]string, err error) {
	replace = make(map[string]string)
	for i, e := range r.edits {
		original := filepath.Join(root, filepath.FromSlash(e.file))
		from := original
		if before, again := replace[original]; again {
			from = before
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		if n := strings.Count(string(text), e.text); n != 1 {
			return nil, fmt.Errorf("reverts: %s: %s has %d times: %s", r.name, e.file, n, e.text)
		}
		to := filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(e.file)))
		if err := os.WriteFile(to, []byte(strings.Replace(string(text), e.text, e.instead, 1)), 0o600); err != nil {
			return nil, err
		}
		replace[original] = to
	}
	return replace, nil
}
