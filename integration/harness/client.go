package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"
)

// AckProtocol is the subprotocol of clients that confirm what they handled.
const AckProtocol = "umf.ack.v1"

// DialOptions say what kind of client connects. The zero value is an old one.
type DialOptions struct {
	Header    http.Header // of the handshake, e.g. Origin
	Protocols []string    // subprotocols offered
	Acked     bool        // offer AckProtocol
	Manual    bool        // read from the socket only inside Next and Find
	NoPong    bool        // leave pings unanswered
	ReadBytes int         // kernel receive buffer; 0: the default
}

// A Client is one WebSocket connection and the UMF that came over it. Its
// methods may be called concurrently, except that a Manual client is read by
// one goroutine.
type Client struct {
	// Immutable after Dial.
	Welcome Message // the first message
	ID      string  // of the fresh session; after Resume the resumed one
	Token   string  // the resume secret; "" if the welcome had none
	Router  string  // id of the node
	conn    *websocket.Conn
	tcp     *net.TCPConn
	manual  bool
	reading context.Context
	stop    context.CancelFunc
	stopped chan struct{} // closed by the reader when it ends

	mids atomic.Uint64
	pong atomic.Bool

	// Guarded by mu.
	mu      sync.Mutex
	inbox   []Message
	end     error         // why reading ended; nil while it goes on
	changed chan struct{} // closed and replaced when inbox or end changes
}

// ErrNoWelcome reports that the first message was not a connection message.
var ErrNoWelcome = errors.New("harness: the first message is no welcome")

// Dial connects and waits for the welcome message.
func Dial(ctx context.Context, url string, o DialOptions) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	c := &Client{manual: o.Manual, stopped: make(chan struct{}), changed: make(chan struct{})}
	c.pong.Store(!o.NoPong)
	c.reading, c.stop = context.WithCancel(context.Background())
	if o.Acked {
		o.Protocols = append(slices.Clone(o.Protocols), AckProtocol)
	}
	dialer := net.Dialer{Control: receiveBuffer(o.ReadBytes)}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err == nil {
			c.tcp = conn.(*net.TCPConn)
		}
		return conn, err
	}}
	conn, response, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient:     &http.Client{Transport: transport},
		HTTPHeader:     o.Header,
		Subprotocols:   o.Protocols,
		OnPingReceived: func(context.Context, []byte) bool { return c.pong.Load() },
	})
	if err != nil {
		c.stop()
		if response != nil {
			return nil, &Refused{Status: response.StatusCode, Header: response.Header, err: err}
		}
		return nil, err
	}
	conn.SetReadLimit(-1)
	c.conn = conn
	if c.manual {
		close(c.stopped)
	} else {
		go c.read()
	}
	welcome, err := c.Next(ctx)
	if err != nil {
		c.Drop()
		return nil, fmt.Errorf("%w: %w", ErrNoWelcome, err)
	}
	if err := c.greet(welcome); err != nil {
		c.Drop()
		return nil, err
	}
	return c, nil
}

// Enter is [Dial] as a client does it that means to get in: a node that takes nobody
// just now (503) is asked again. Any node may have to say so that the machine left
// standing for a while.
func Enter(ctx context.Context, url string, o DialOptions) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	var c *Client
	var other error // for good
	err := Until(ctx, func() (err error) {
		c, err = Dial(ctx, url, o)
		if refused := (*Refused)(nil); err != nil && !(errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable) {
			other, err = err, nil
		}
		return err
	})
	return c, cmp.Or(other, err)
}

// Refused is a handshake that was answered, but not with an upgrade.
type Refused struct {
	Status int
	Header http.Header
	err    error
}

func (r *Refused) Error() string {
	return "harness: refused with " + strconv.Itoa(r.Status) + ": " + r.err.Error()
}

func (c *Client) greet(welcome Message) error {
	id, _ := welcome.At("bdy", "id").(string)
	if welcome.Type() != "connection" || id == "" {
		return fmt.Errorf("%w: %.300q", ErrNoWelcome, welcome.Raw)
	}
	c.Welcome, c.ID = welcome, id
	c.Token, _ = welcome.At("bdy", "token").(string)
	c.Router = InstanceOf(welcome.From())
	return nil
}

// LocalAddr is the client's end of the connection.
func (c *Client) LocalAddr() net.Addr { return c.tcp.LocalAddr() }

// Protocol is the subprotocol that the server chose.
func (c *Client) Protocol() string { return c.conn.Subprotocol() }

// Resume asks for an earlier session and returns the connection message that
// answers. When the session was given, the client has its id from then on.
func (c *Client) Resume(ctx context.Context, typ string, body Object) (Message, error) {
	if err := c.Send(Object{"to": "hydra-router:/", "frm": c.Address(), "mid": c.Mid(), "typ": typ, "bdy": body}); err != nil {
		return Message{}, err
	}
	answer, err := c.Find(ctx, func(m Message) bool { return m.Type() == "connection" && m.From() == c.Welcome.From() })
	if err != nil {
		return answer, err
	}
	if resumed, _ := answer.At("bdy", "resumed").(bool); resumed {
		c.ID, _ = answer.At("bdy", "id").(string)
		if token, ok := answer.At("bdy", "token").(string); ok {
			c.Token = token
		} else {
			c.Token, _ = body["token"].(string)
		}
	}
	return answer, nil
}

// Address is what the client calls itself.
func (c *Client) Address() string { return c.ID + "@client:/" }

// Mid returns a message id that this client has not used.
func (c *Client) Mid() string { return "m" + strconv.FormatUint(c.mids.Add(1), 10) + "-" + c.ID }

// Send writes one text frame: a string or bytes as they are, anything else as
// JSON.
func (c *Client) Send(v any) error {
	raw, err := Encode(v)
	if err != nil {
		return err
	}
	return c.write(websocket.MessageText, raw)
}

// SendBinary writes the same as a binary frame.
func (c *Client) SendBinary(v any) error {
	raw, err := Encode(v)
	if err != nil {
		return err
	}
	return c.write(websocket.MessageBinary, raw)
}

func (c *Client) write(kind websocket.MessageType, raw []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return c.conn.Write(ctx, kind, raw)
}

// Ack confirms everything up to seq.
func (c *Client) Ack(seq uint64) error {
	return c.Send(Object{"to": "hydra-router:/", "frm": c.Address(), "mid": c.Mid(), "typ": "ack",
		"bdy": Object{"seq": strconv.FormatUint(seq, 10)}})
}

// Call sends a message with a fresh mid and returns the one that answers it.
func (c *Client) Call(ctx context.Context, message Object) (Message, error) {
	mid := c.Mid()
	message["mid"] = mid
	if _, ok := message["frm"]; !ok {
		message["frm"] = c.Address()
	}
	if err := c.Send(message); err != nil {
		return Message{}, err
	}
	return c.Find(ctx, func(m Message) bool { return m.Rmid() == mid })
}

// Alive reports whether the connection has not ended.
func (c *Client) Alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end == nil
}

// Pong switches the answers to pings on or off.
func (c *Client) Pong(on bool) { c.pong.Store(on) }

// Close says goodbye as a well-behaved client does, and waits for the end.
func (c *Client) Close() {
	_ = c.conn.Close(websocket.StatusNormalClosure, "") // a connection that is gone is closed, too
	c.stop()
	<-c.stopped
}

// Drop closes the TCP connection without a close frame.
func (c *Client) Drop() {
	_ = c.conn.CloseNow()
	c.stop()
	<-c.stopped
}

// Reset ends the TCP connection with a RST: whatever was on the way is lost.
func (c *Client) Reset() {
	_ = c.tcp.SetLinger(0)
	c.Drop()
}
