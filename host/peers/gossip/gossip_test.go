package gossip

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"

	"github.com/wasmesh/wasmesh/host/peers/peerstest"
)

const label = "wasmesh/default"

var key = []byte("0123456789abcdef0123456789abcdef")

func node(id string) Node {
	return Node{
		ID: id, Epoch: 3, Started: 1_700_000_000_000, Runtime: "mlserver-1.x", Zone: "eu-1a", Gateway: true,
		PeerAddress: "10.0.0.1:8080", GRPCAddress: "10.0.0.1:8033", RESTAddress: "[::1]:8008",
	}
}

func TestMetaIsReadAsWritten(t *testing.T) {
	for _, n := range []Node{node("host-1"), {ID: "h", PeerAddress: "a:1"}, node(strings.Repeat("x", maxID))} {
		meta, err := n.encode()
		if err != nil {
			t.Fatal(err)
		}
		if len(meta) > memberlist.MetaMaxSize {
			t.Errorf("%d bytes", len(meta))
		}
		if got, err := decode(meta); err != nil || got != n {
			t.Errorf("read %+v, %v, want %+v", got, err, n)
		}
		// A newer version that says more is understood.
		if got, err := decode(append(meta, 3, 'n', 'e', 'w')); len(meta) < 500 && (err != nil || got != n) {
			t.Errorf("with more behind it: %+v, %v", got, err)
		}
	}
}

func TestMetaThatIsNot(t *testing.T) {
	good, err := node("host-1").encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if got, err := decode(good[:n]); err == nil {
			t.Errorf("%d of %d bytes were read as %+v", n, len(good), got)
		}
	}
	for name, change := range map[string]func(*Node){
		"no id":             func(n *Node) { n.ID = "" },
		"id with separator": func(n *Node) { n.ID = "a#b" },
		"id with newline":   func(n *Node) { n.ID = "a\nb" },
		"no address":        func(n *Node) { n.PeerAddress = "" },
		"address":           func(n *Node) { n.PeerAddress = "nowhere" },
		"port":              func(n *Node) { n.GRPCAddress = "a:99999" },
		"not text":          func(n *Node) { n.Zone = "\xff" },
		"too long together": func(n *Node) {
			n.ID, n.Runtime, n.Zone = strings.Repeat("a", 250), strings.Repeat("b", 250), strings.Repeat("c", 250)
		},
		"too long": func(n *Node) { n.Zone = strings.Repeat("z", 256) },
	} {
		n := node("host-1")
		change(&n)
		if meta, err := n.encode(); err == nil {
			t.Errorf("%s: encoded as %d bytes", name, len(meta))
		}
	}
}

func FuzzMeta(f *testing.F) {
	good, err := node("host-1").encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, meta []byte) {
		n, err := decode(meta)
		if err != nil {
			return
		}
		again, err := n.encode()
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", n, err)
		}
		if read, err := decode(again); err != nil || read != n {
			t.Fatalf("%+v is read as %+v, %v", n, read, err)
		}
	})
}

// counts are refusals by reason.
type counts struct {
	mu sync.Mutex
	by map[Refusal]int
}

func (c *counts) refused(reason Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[reason]++
}

func (c *counts) take() map[Refusal]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	by := c.by
	c.by = map[Refusal]int{}
	return by
}

type events struct {
	mu     sync.Mutex
	listed map[string]Node
}

func (e *events) Listed(n Node) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listed[n.ID] = n
}

func (e *events) Unlisted(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.listed, id)
}

func (e *events) Superseded(Node) {}

func (e *events) ids() (ids []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range e.listed {
		ids = append(ids, id)
	}
	return ids
}

// part takes part in gossip on a network in memory.
func part(t testing.TB, wire *peerstest.Host, id string) (*Gossip, *events, *counts) {
	t.Helper()
	e, c := &events{listed: map[string]Node{}}, &counts{by: map[Refusal]int{}}
	g, err := New(Config{
		Label: label, Key: key, Node: node(id), Transport: wire.Gossip(7000), Events: e, Refused: c.refused,
		Traffic: func(string, int) {}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return g, e, c
}

// seal is memberlist's encryption of a packet.
func seal(t testing.TB, with []byte, mesh string, plain []byte) []byte {
	in, err := newInspector(mesh, with)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, nonceSize)
	sealed := append([]byte{msgLabel, byte(len(mesh))}, mesh...)
	sealed = append(append(sealed, sealVersion), nonce...)
	return (*in.aeads.Load())[0].Seal(sealed, nonce, plain, []byte(mesh))
}

// sealStream is memberlist's encryption of the first message of a stream.
func sealStream(t testing.TB, with []byte, mesh string, plain []byte) []byte {
	in, err := newInspector(mesh, with)
	if err != nil {
		t.Fatal(err)
	}
	head := []byte{msgEncrypt, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[1:], uint32(1+nonceSize+len(plain)+tagSize))
	nonce := make([]byte, nonceSize)
	data := append(bytes.Clone(head), mesh...)
	out := append([]byte{msgLabel, byte(len(mesh))}, mesh...)
	out = append(append(append(out, head...), sealVersion), nonce...)
	return (*in.aeads.Load())[0].Seal(out, nonce, plain, data)
}

func pack(t testing.TB, kind byte, values ...any) []byte {
	out := bytes.NewBuffer([]byte{kind})
	encoder := codec.NewEncoder(out, &codec.MsgpackHandle{})
	for _, v := range values {
		if err := encoder.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func alive(name string, meta, vsn []byte) map[string]any {
	return map[string]any{"Incarnation": 1, "Node": name, "Addr": []byte{10, 0, 0, 9}, "Port": 7000, "Meta": meta, "Vsn": vsn}
}

var spoken = []byte{1, 5, 2, 0, 0, 0}

func TestWhatArrivesIsChecked(t *testing.T) {
	meta, err := node("stranger").encode()
	if err != nil {
		t.Fatal(err)
	}
	other := []byte("another key, which is 32 byte...")
	list := func(nodes int, state ...any) []byte {
		header := map[string]any{"Nodes": nodes, "UserStateLen": 0, "Join": true}
		return pack(t, msgPushPull, append([]any{header}, state...)...)
	}
	packets := map[string]struct {
		packet []byte
		want   Refusal
	}{
		"nothing":             {[]byte{}, RefusedMalformed},
		"garbage":             {[]byte("GET / HTTP/1.1\r\n\r\n"), RefusedMalformed},
		"label that is cut":   {[]byte{msgLabel, 200, 'a'}, RefusedMalformed},
		"another mesh":        {seal(t, key, "other/default", pack(t, msgPing, map[string]any{})), RefusedMesh},
		"another key":         {seal(t, other, label, pack(t, msgPing, map[string]any{})), RefusedKey},
		"not encrypted":       {append([]byte{msgLabel, byte(len(label))}, label...), RefusedMalformed},
		"too large":           {make([]byte, maxPacket+1), RefusedOversized},
		"empty":               {seal(t, key, label, nil), RefusedMalformed},
		"compressed":          {seal(t, key, label, pack(t, msgCompress, map[string]any{"Algo": 0, "Buf": []byte{1}})), RefusedMalformed},
		"nested":              {seal(t, key, label, []byte{msgCompound, 1, 0, 2, msgCompound, 0}), RefusedMalformed},
		"cut":                 {seal(t, key, label, []byte{msgCompound, 3, 0}), RefusedMalformed},
		"wrong checksum":      {seal(t, key, label, []byte{msgCRC, 1, 2, 3, 4, msgPing}), RefusedMalformed},
		"no fields":           {seal(t, key, label, []byte{msgPing, 0xc1}), RefusedMalformed},
		"protocol versions":   {seal(t, key, label, pack(t, msgAlive, alive("stranger#3#1", meta, []byte{200, 201, 200, 0, 0, 0}))), RefusedMalformed},
		"too few of them":     {seal(t, key, label, pack(t, msgAlive, alive("stranger#3#1", meta, []byte{1, 5, 2, 0}))), RefusedMalformed},
		"description":         {seal(t, key, label, pack(t, msgAlive, alive("stranger#3#1", []byte("garbage"), spoken))), RefusedMalformed},
		"description of many": {seal(t, key, label, pack(t, msgAlive, alive("stranger#3#1", make([]byte, 600), spoken))), RefusedOversized},
		"name of another":     {seal(t, key, label, pack(t, msgAlive, alive("host-1#3#1", meta, spoken))), RefusedMalformed},
	}
	streams := map[string]struct {
		stream []byte
		want   Refusal
	}{
		"garbage":        {[]byte("GET / HTTP/1.1\r\n\r\n"), RefusedMalformed},
		"another mesh":   {sealStream(t, key, "other/default", pack(t, msgPing, map[string]any{})), RefusedMesh},
		"another key":    {sealStream(t, other, label, pack(t, msgPing, map[string]any{})), RefusedKey},
		"plain":          {append(append([]byte{msgLabel, byte(len(label))}, label...), list(0)...), RefusedKey},
		"announces much": {append(append([]byte{msgLabel, byte(len(label))}, label...), msgEncrypt, 0xff, 0xff, 0xff, 0xff), RefusedOversized},
		"cut":            {sealStream(t, key, label, list(0))[:60], RefusedMalformed},
		"empty":          {sealStream(t, key, label, nil), RefusedMalformed},
		"user message":   {sealStream(t, key, label, pack(t, msgUser, map[string]any{"UserMsgLen": 1 << 40})), RefusedMalformed},
		"negative list":  {sealStream(t, key, label, list(-1)), RefusedMalformed},
		"endless list":   {sealStream(t, key, label, list(1<<40)), RefusedOversized},
		"shorter list":   {sealStream(t, key, label, list(2, alive("stranger#3#1", meta, spoken))), RefusedMalformed},
		"versions":       {sealStream(t, key, label, list(1, alive("stranger#3#1", meta, []byte{1}))), RefusedMalformed},
		"beside the list": {sealStream(t, key, label, pack(t, msgPushPull, map[string]any{"Nodes": 0, "UserStateLen": 1 << 40})),
			RefusedMalformed},
	}
	synctest.Test(t, func(t *testing.T) {
		network := peerstest.NewNetwork()
		g, heard, refused := part(t, network.Host("10.0.0.1"), "host-1")
		attacker := network.Host("10.0.0.66")
		sender := attacker.Gossip(1)
		for name, c := range packets {
			if _, err := sender.WriteTo(c.packet, "10.0.0.1:7000"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if by := refused.take(); by[c.want] != 1 || len(by) != 1 {
				t.Errorf("packet %s: refused %v, want one for %q", name, by, c.want)
			}
		}
		for name, c := range streams {
			conn, err := attacker.Dial(t.Context(), "10.0.0.1:7000")
			if err != nil {
				t.Fatal(err)
			}
			conn.Write(c.stream)
			conn.Close()
			synctest.Wait()
			if by := refused.take(); by[c.want] != 1 || len(by) != 1 {
				t.Errorf("stream %s: refused %v, want one for %q", name, by, c.want)
			}
		}
		// One that says nothing is let go.
		conn, err := attacker.Dial(t.Context(), "10.0.0.1:7000")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a silent stream: %v", err)
		}
		conn.Close()
		// And the host is as good as before.
		second, _, _ := part(t, network.Host("10.0.0.2"), "host-2")
		if err := second.Join(g.Self().GossipAddress); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if ids := heard.ids(); len(ids) != 1 || ids[0] != "host-2" {
			t.Errorf("listed %v", ids)
		}
		if by := refused.take(); len(by) != 0 {
			t.Errorf("refused %v of a good host", by)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := second.Leave(ctx); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if ids := heard.ids(); len(ids) != 0 {
			t.Errorf("listed %v after it left", ids)
		}
		g.Close()
		second.Close()
		time.Sleep(5 * time.Second)
	})
}

// An answer that is not well formed does no harm either.
func TestWhatIsAnsweredIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := peerstest.NewNetwork()
		g, _, refused := part(t, network.Host("10.0.0.1"), "host-1")
		evil := network.Host("10.0.0.66").Listen(7000)
		go func() {
			for {
				conn, err := evil.Accept()
				if err != nil {
					return
				}
				answer := sealStream(t, key, label, pack(t, msgPushPull, map[string]any{"Nodes": -1}))
				conn.Write(answer[2+len(label):])
				io.Copy(io.Discard, conn)
				conn.Close()
			}
		}()
		if err := g.Join("10.0.0.66:7000"); err == nil {
			t.Error("joined")
		}
		if by := refused.take(); by[RefusedMalformed] != 1 {
			t.Errorf("refused %v", by)
		}
		evil.Close()
		g.Close()
		time.Sleep(5 * time.Second)
	})
}

// FuzzInspect hands memberlist whatever is let through: a panic of its goroutines is the finding.
func FuzzInspect(f *testing.F) {
	meta, err := node("stranger").encode()
	if err != nil {
		f.Fatal(err)
	}
	host := alive("stranger#3#1", meta, spoken)
	f.Add(pack(f, msgAlive, host))
	f.Add(pack(f, msgSuspect, map[string]any{"Node": "stranger#3#1", "From": "x", "Incarnation": 1}))
	f.Add(pack(f, msgPushPull, map[string]any{"Nodes": 1, "UserStateLen": 0, "Join": true}, host))
	f.Add(pack(f, msgPing, map[string]any{"SeqNo": 1, "Node": "", "SourceAddr": []byte{1}}))
	f.Add(pack(f, msgIndirectPing, map[string]any{"SeqNo": 1, "Target": []byte{1, 2, 3, 4}}))
	f.Add(pack(f, msgError, map[string]any{"Error": "no"}))
	f.Add([]byte{msgCompound, 1, 0, 1, msgAck})
	f.Add([]byte{})
	network := peerstest.NewNetwork()
	g, _, _ := part(f, network.Host("10.0.0.1"), "host-1")
	f.Cleanup(func() { g.Close() })
	attacker := network.Host("10.0.0.66")
	sender := attacker.Gossip(1)
	f.Fuzz(func(t *testing.T, plain []byte) {
		if inspectPacket(plain) == nil {
			if _, err := sender.WriteTo(seal(t, key, label, plain), "10.0.0.1:7000"); err != nil {
				t.Fatal(err)
			}
		}
		if inspectMessage(plain) == nil {
			conn, err := attacker.Dial(t.Context(), "10.0.0.1:7000")
			if err != nil {
				t.Fatal(err)
			}
			conn.Write(sealStream(t, key, label, plain))
			io.Copy(io.Discard, conn) // until it is dealt with
			conn.Close()
		}
	})
}

func TestSocketSaysWhereItIs(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := newSocket("127.0.0.1:0", log)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	ip, port, err := s.FinalAdvertiseAddr("", 0)
	if err != nil || !ip.Equal(net.IPv4(127, 0, 0, 1)) || port == 0 {
		t.Errorf("advertises %v:%d, %v", ip, port, err)
	}
	if ip, other, err := s.FinalAdvertiseAddr("192.0.2.1", 0); err != nil || ip.String() != "192.0.2.1" || other != port {
		t.Errorf("advertises %v:%d, %v", ip, other, err)
	}
	if _, _, err := s.FinalAdvertiseAddr("a name", 1); err == nil {
		t.Error("advertises a name")
	}
	everywhere, err := newSocket(":0", log)
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere.Shutdown()
	if ip, _, err := everywhere.FinalAdvertiseAddr("", 0); err == nil {
		t.Errorf("advertises %v", ip)
	}
	if _, err := newSocket(s.tcp.Addr().String(), log); err == nil {
		t.Error("bound one port twice")
	}
}
