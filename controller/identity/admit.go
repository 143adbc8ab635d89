package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// errNotReady is for handshakes before Ready.
var errNotReady = errors.New("the controller has no certificate yet: connect again")

// ServerTLS is of the sync listener: a host that has no certificate yet may ask for one, and one that is shown must be of
// an authority of this mesh. It follows the authorities as they change.
func (a *Authority) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		// A host connects once; whom it was an hour ago is no matter.
		SessionTicketsDisabled: true,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := a.present.Load()
			if now == nil {
				return nil, errNotReady
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, SessionTicketsDisabled: true,
				Certificates: []tls.Certificate{*now.serving},
				// VerifyConnection says in words what is wrong, and counts it.
				ClientAuth: tls.RequestClientCert,
				VerifyConnection: func(state tls.ConnectionState) error {
					if len(state.PeerCertificates) == 0 {
						return nil
					}
					return a.refused(meshcert.Verify(state.PeerCertificates, now.pool, x509.ExtKeyUsageClientAuth, a.config.Now()))
				},
			}, nil
		},
	}
}

// refused counts an error that is not nil.
func (a *Authority) refused(err error) error {
	if refusal, ok := errors.AsType[*meshcert.Error](err); ok {
		a.metrics.refusals.WithLabelValues(string(refusal.Reason)).Inc()
		a.logger.Warn("host refused", "reason", string(refusal.Reason), "error", err)
	}
	return err
}

// ServerOptions are TLS, and that the sync service takes only what comes from the host that it is of.
func (a *Authority) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(a.ServerTLS())),
		grpc.ChainUnaryInterceptor(a.admitUnary), grpc.ChainStreamInterceptor(a.admitStream),
	}
}

// open reports whether a method needs no certificate.
func open(method string) bool {
	return strings.HasPrefix(method, "/"+syncv1.IdentityService_ServiceDesc.ServiceName+"/")
}

// caller answers the host at the other end of a call, which TLS has verified.
func (a *Authority) caller(ctx context.Context) (meshcert.Host, error) {
	var chain []*x509.Certificate
	if from, ok := peer.FromContext(ctx); ok {
		if info, ok := from.AuthInfo.(credentials.TLSInfo); ok {
			chain = info.State.PeerCertificates
		}
	}
	if len(chain) == 0 {
		err := &meshcert.Error{Reason: meshcert.Missing, Why: "the host showed no certificate: it asks IdentityService for one first, with --ca-file and --token-file"}
		return meshcert.Host{}, status.Error(codes.Unauthenticated, a.refused(err).Error())
	}
	host, err := meshcert.HostOf(chain[0])
	if err != nil {
		return host, status.Error(codes.PermissionDenied, a.refused(err).Error())
	}
	return host, nil
}

func (a *Authority) admitUnary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if !open(info.FullMethod) {
		if _, err := a.caller(ctx); err != nil {
			return nil, err
		}
	}
	return handler(ctx, request)
}

func (a *Authority) admitStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if open(info.FullMethod) {
		return handler(server, stream)
	}
	host, err := a.caller(stream.Context())
	if err != nil {
		return err
	}
	return handler(server, &hostStream{ServerStream: stream, authority: a, host: host})
}

// hostStream holds what a host says of itself against its certificate.
type hostStream struct {
	grpc.ServerStream
	authority *Authority
	host      meshcert.Host
}

// RecvMsg implements grpc.ServerStream.
func (s *hostStream) RecvMsg(message any) error {
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	request, ok := message.(*syncv1.ConnectRequest)
	if !ok || request.GetHello() == nil {
		return nil
	}
	said := meshcert.Host{Namespace: request.GetHello().GetNamespace(), ID: request.GetHello().GetHostId()}
	if said == s.host {
		return nil
	}
	reason := meshcert.Identity
	if said.Namespace != s.host.Namespace {
		reason = meshcert.Namespace
	}
	err := &meshcert.Error{Reason: reason, Why: "the host says that it is " + said.String() + ", and its certificate is of " +
		s.host.String() + ": --namespace and --host-id have to be those of its pod"}
	return status.Error(codes.PermissionDenied, s.authority.refused(err).Error())
}
