package peers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	// KeySize is the size of a mesh's key, bytes: AES-256 for gossip.
	KeySize = 32
	// TokenHeader carries the token in calls and proxied requests.
	TokenHeader = "wasmesh-mesh-token"
)

// tokenOf proves that its bearer knows the key of the mesh: "host of this mesh and namespace", nothing about which one.
func tokenOf(key []byte, mesh, namespace string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("wasmesh peer\x00" + mesh + "\x00" + namespace))
	return hex.EncodeToString(mac.Sum(nil))
}

// SetKeys replaces the key of the mesh without a restart: the first is used from now on, and all are accepted. For one to
// take another's place, every host accepts both, then uses the new one, and then drops the old. Links stand.
func (p *Peers) SetKeys(keys [][]byte) error {
	tokens := make([]string, len(keys))
	for n, key := range keys {
		if len(key) != KeySize {
			return fmt.Errorf("peers: a key of the mesh has %d bytes, want %d", len(key), KeySize)
		}
		tokens[n] = tokenOf(key, p.config.Mesh, p.config.Namespace)
	}
	if err := p.gossip.SetKeys(keys); err != nil {
		return err
	}
	p.tokens.Store(&tokens)
	return nil
}

// Token is what calls and proxied requests to other hosts carry as TokenHeader.
func (p *Peers) Token() string { return (*p.tokens.Load())[0] }

// CheckToken reports whether the token is that of this mesh, and counts it when it is not.
func (p *Peers) CheckToken(token string) bool {
	for _, own := range *p.tokens.Load() {
		if hmac.Equal([]byte(token), []byte(own)) {
			return true
		}
	}
	p.metrics.refused(refusedToken)
	return false
}

func (p *Peers) authenticate(ctx context.Context) error {
	// A grpc.Server behind an http.Server does not itself refuse what comes while it stops, and then waits for it.
	if p.ctx.Err() != nil {
		return status.Error(codes.Unavailable, "the host is stopping: ask another")
	}
	if values := metadata.ValueFromIncomingContext(ctx, TokenHeader); len(values) == 1 && p.CheckToken(values[0]) {
		return nil
	} else if len(values) != 1 {
		p.metrics.refused(refusedToken)
	}
	return status.Error(codes.Unauthenticated, "the caller does not have the key of this mesh: compare the mesh, namespace and mesh key of both hosts")
}

func (p *Peers) authenticateUnary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	if err := p.authenticate(ctx); err != nil {
		return nil, err
	}
	defer p.recovered(&err)
	return handler(ctx, request)
}

func (p *Peers) authenticateStream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	if err := p.authenticate(stream.Context()); err != nil {
		return err
	}
	defer p.recovered(&err)
	return handler(server, stream)
}

// recovered makes an answer of a panic: one bad call must not end a host that serves others.
func (p *Peers) recovered(err *error) {
	if panicked := recover(); panicked != nil {
		p.log.Error("call of a peer panicked", "panic", panicked, "stack", stack())
		*err = status.Error(codes.Internal, "the host failed on this call; its log says why")
	}
}

// credentials put the token on every call.
type credentials struct{ peers *Peers }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (c credentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{TokenHeader: c.peers.Token()}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials. Whoever dials decides about TLS.
func (credentials) RequireTransportSecurity() bool { return false }
