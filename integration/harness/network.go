package harness

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// A Network joins network namespaces by a bridge, one namespace for each host. The
// bridge is in the namespace of this process, which has two addresses there: one
// by which it sees everything, and one for what stands for the clients, so that
// those can be cut off. For a process that has been isolated ([Isolate]).
//
// A packet that is cut is dropped where it arrives, so that its sender is told
// nothing. Methods may be called concurrently.
type Network struct {
	// Immutable after NewNetwork.
	Clients *Host // its namespace is this process's own

	mu    sync.Mutex
	hosts int // so far
}

// A Host is one address with a namespace of its own.
type Host struct {
	Name      string
	IP        string
	namespace string // "": this process's own

	mu    sync.Mutex
	holds map[string]int // by set and source: how many want it so
}

// subnet is a network of nobody (RFC 2544 §C.2.2), so that a mistake leads nowhere.
const subnet = "198.18.0."

// bridgeAddress is one that is administered locally (IEEE 802 §8.4).
const bridgeAddress = "02:00:00:00:00:01"

// rules has the pairs, source and destination, that are cut off, with how many
// packets were dropped, those whose connections are reset: the resets of both
// ways must not meet each other; and the connections of which nothing arrives.
const rules = `table inet hydrant {
	set cut { type ipv4_addr . ipv4_addr; counter; }
	set refused { type ipv4_addr . ipv4_addr; }
	set stuck { type inet_service; }
	chain in {
		type filter hook input priority 0; policy accept;
		ip saddr . ip daddr @cut drop
		ip saddr . ip daddr @refused tcp flags & rst == 0 reject with tcp reset
		tcp sport @stuck drop
		tcp dport @stuck drop
	}
}
`

// NewNetwork makes the bridge. It has an address of its own on the link: else it takes
// the lowest of its ports', another one may come with each host, and the hosts before
// send to the former one for half a minute, which nobody takes.
func NewNetwork() (*Network, error) {
	n := &Network{Clients: &Host{Name: "clients", IP: subnet + "2"}, hosts: 9}
	for _, args := range [][]string{
		{"link", "add", "hydrant", "address", bridgeAddress, "type", "bridge", "forward_delay", "0"},
		{"addr", "add", subnet + "1/24", "dev", "hydrant"},
		{"addr", "add", n.Clients.IP + "/24", "dev", "hydrant"},
		{"link", "set", "hydrant", "up"},
	} {
		if err := command("ip", args...); err != nil {
			return nil, err
		}
	}
	return n, n.Clients.filter(rules)
}

// Host makes one more host.
func (n *Network) Host(name string) (*Host, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts++
	h := &Host{Name: name, IP: subnet + strconv.Itoa(n.hosts), namespace: "h" + strconv.Itoa(n.hosts)}
	port := "p" + strconv.Itoa(n.hosts)
	for _, args := range [][]string{
		{"netns", "add", h.namespace},
		{"link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", h.namespace},
		{"link", "set", port, "master", "hydrant", "up"},
		{"-n", h.namespace, "link", "set", "lo", "up"},
		{"-n", h.namespace, "addr", "add", h.IP + "/24", "dev", "eth0"},
		{"-n", h.namespace, "link", "set", "eth0", "up"},
	} {
		if err := command("ip", args...); err != nil {
			return nil, err
		}
	}
	return h, h.filter(rules)
}

// Close takes the network away: the processes on it must have ended.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := 10; i <= n.hosts; i++ {
		// A namespace goes when it pleases the kernel, and its link with it.
		number := strconv.Itoa(i)
		if err := command("ip", "link", "del", "p"+number); err != nil {
			return err
		}
		if err := command("ip", "netns", "del", "h"+number); err != nil {
			return err
		}
	}
	if err := command("nft", "delete", "table", "inet", "hydrant"); err != nil {
		return err
	}
	return command("ip", "link", "del", "hydrant")
}

// run is the program and arguments that run a program on the host; without a
// host, here.
func (h *Host) run(path string, args []string) (string, []string) {
	if h == nil || h.namespace == "" {
		return path, args
	}
	return "ip", append([]string{"netns", "exec", h.namespace, path}, args...)
}

// on is an address of loopback moved to the host.
func (h *Host) on(addr string) string {
	if h == nil {
		return addr
	}
	return net.JoinHostPort(h.IP, portOf(addr))
}

func (h *Host) filter(script string) error {
	path, args := h.run("nft", []string{"-f", "-"})
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("harness: nft on %s: %w: %s", h.Name, err, out)
	}
	return nil
}

// Stick drops what arrives at the host over the connections that have one of these ports,
// at whichever end, until Loose. One caller at a time.
func (h *Host) Stick(ports []int) error { return h.stuck("add", ports) }

// Loose ends Stick.
func (h *Host) Loose(ports []int) error { return h.stuck("delete", ports) }

func (h *Host) stuck(what string, ports []int) error {
	if len(ports) == 0 {
		return nil
	}
	list := strings.Trim(strings.ReplaceAll(fmt.Sprint(ports), " ", ", "), "[]")
	return h.filter(fmt.Sprintf("%s element inet hydrant stuck { %s }\n", what, list))
}

// A Link is one direction between two hosts.
type Link struct{ From, To *Host }

func (l Link) String() string { return l.From.Name + ">" + l.To.Name }

// Both are the two directions between two hosts.
func Both(a, b *Host) []Link { return []Link{{a, b}, {b, a}} }

// Cut drops what goes this way from now on, until Mend has been called as often as
// Cut.
func (l Link) Cut() error { return l.element("add", "cut") }

// Mend lets it pass again, and returns how many packets were dropped.
func (l Link) Mend() (dropped int, err error) {
	dropped, err = l.Dropped()
	if err != nil {
		return 0, err
	}
	return dropped, l.element("delete", "cut")
}

// Refuse answers what goes this way with a reset, until Accept has been called as
// often.
func (l Link) Refuse() error { return l.element("add", "refused") }

// Accept ends Refuse.
func (l Link) Accept() error { return l.element("delete", "refused") }

// element adds this way to a set, or takes it out, when the first comes who wants
// that, or the last goes.
func (l Link) element(what, set string) error {
	h := l.To
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holds == nil {
		h.holds = make(map[string]int)
	}
	key := set + " " + l.From.IP
	if what == "add" {
		h.holds[key]++
		if h.holds[key] > 1 {
			return nil
		}
	} else {
		h.holds[key]--
		if h.holds[key] > 0 {
			return nil
		}
	}
	return h.filter(fmt.Sprintf("%s element inet hydrant %s { %s . %s }\n", what, set, l.From.IP, h.IP))
}

var packets = regexp.MustCompile(`counter packets (\d+)`)

// Dropped is how many packets were dropped since the first Cut.
func (l Link) Dropped() (int, error) {
	path, args := l.To.run("nft", []string{"get", "element", "inet", "hydrant", "cut", fmt.Sprintf("{ %s . %s }", l.From.IP, l.To.IP)})
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("harness: nft on %s: %w: %s", l.To.Name, err, bytes.TrimSpace(out))
	}
	match := packets.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("harness: nft on %s counts nothing: %s", l.To.Name, out)
	}
	return strconv.Atoi(string(match[1]))
}
