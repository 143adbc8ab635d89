package forward

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestBodyIsSentAgainWhileItIsKept(t *testing.T) {
	tests := []struct {
		name  string
		size  int
		again bool
	}{
		{"empty", 0, true},
		{"small", 100, true},
		{"grows", smallHead + 1, true},
		{"exactly kept", HeadBytes, true},
		{"one too many", HeadBytes + 1, false},
	}
	for _, tt := range tests {
		text := strings.Repeat("x", tt.size)
		b := NewBody(io.NopCloser(strings.NewReader(text)))
		if got := readAll(t, b.attempt()); got != text {
			t.Errorf("%s: first attempt read %d bytes, want %d", tt.name, len(got), len(text))
		}
		if b.Replayable() != tt.again {
			t.Errorf("%s: replayable %v, want %v", tt.name, b.Replayable(), tt.again)
		}
		if tt.again && readAll(t, b.attempt()) != text {
			t.Errorf("%s: second attempt read something else", tt.name)
		}
		if tt.again != b.AtEnd() {
			t.Errorf("%s: at end %v", tt.name, b.AtEnd())
		}
		b.Close()
		if held := b.Held(); held != 0 {
			t.Errorf("%s: holds %d bytes after Close", tt.name, held)
		}
	}
}

func TestPeekKeepsForTheAttempt(t *testing.T) {
	b := NewBody(io.NopCloser(strings.NewReader("hello world")))
	head, err := b.Peek(5)
	if err != nil || !bytes.HasPrefix(head, []byte("hello")) {
		t.Fatalf("peeked %q, %v", head, err)
	}
	if b.Held() != smallHead {
		t.Errorf("holds %d bytes, want %d", b.Held(), smallHead)
	}
	if got := readAll(t, b.attempt()); got != "hello world" {
		t.Fatalf("attempt read %q", got)
	}
}

func TestBodyReportsTheClientsEnd(t *testing.T) {
	gone := errors.New("client disconnected")
	b := NewBody(io.NopCloser(io.MultiReader(strings.NewReader("ab"), &broken{gone})))
	if _, err := b.Peek(3); err != gone {
		t.Fatalf("peek: %v", err)
	}
	if b.Replayable() {
		t.Error("a request that broke off must not be sent again")
	}
}

type broken struct{ err error }

func (b *broken) Read([]byte) (int, error) { return 0, b.err }

func TestAbandonedAttemptLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pr, pw := io.Pipe()
		b := NewBody(pr)
		first, second := b.attempt(), b.attempt()
		firstDone := make(chan error)
		go func() {
			_, err := first.Read(make([]byte, 10))
			firstDone <- err
		}()
		synctest.Wait()
		if b.Replayable() {
			t.Error("not replayable while an attempt waits for the client")
		}
		got := make(chan string)
		go func() {
			p := make([]byte, 10)
			n, _ := second.Read(p)
			got <- string(p[:n])
		}()
		synctest.Wait()
		pw.Write([]byte("data"))
		if err := <-firstDone; err != nil {
			t.Errorf("first attempt: %v", err)
		}
		if text := <-got; text != "data" {
			t.Errorf("second attempt read %q, want what arrived for the first", text)
		}
		b.Close()
	})
}

func TestCloseWakesAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pr, _ := io.Pipe()
		b := NewBody(pr)
		first, second := b.attempt(), b.attempt()
		done := make(chan error)
		for _, r := range []*bodyReader{first, second} {
			go func() {
				_, err := r.Read(make([]byte, 10))
				done <- err
			}()
			synctest.Wait()
		}
		second.Close()
		if err := <-done; err != errBodyClosed {
			t.Errorf("closed while waiting behind another: %v", err)
		}
		first.Close()
		if err := <-done; err == nil {
			t.Error("closed while waiting for the client: no error")
		}
		b.Close()
		if b.Held() != 0 {
			t.Error("kept bytes not released")
		}
	})
}
