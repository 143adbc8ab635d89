package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// enrolTimeout bounds one attempt.
const enrolTimeout = 10 * time.Second

// enrol is one attempt at a certificate. Whoever waited for it finds it counted.
func (i *Identity) enrol(ctx context.Context) error {
	err := i.ask(ctx)
	i.metrics.enrolled(status.Code(err))
	if err == nil {
		i.isReady.Do(func() { close(i.ready) })
	}
	return err
}

// ask has a new key signed, over a connection of its own: that of the sync stream shows the certificate.
func (i *Identity) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, enrolTimeout)
	defer cancel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return fmt.Errorf("make certificate request: %w", err)
	}
	token, err := os.ReadFile(i.config.TokenFile)
	if err != nil {
		return fmt.Errorf("read token: %w", err)
	}
	conn, err := grpc.NewClient(i.config.Controller, grpc.WithTransportCredentials(credentials.NewTLS(i.controllerTLS(nil))))
	if err != nil {
		return fmt.Errorf("connect to controller: %w", err)
	}
	defer conn.Close()
	response, err := syncv1.NewIdentityServiceClient(conn).Issue(ctx, &syncv1.IssueRequest{CertificateRequest: request, Token: string(bytes.TrimSpace(token))})
	if err != nil {
		return fmt.Errorf("ask controller %s for a certificate: %w", i.config.Controller, err)
	}
	return i.take(key, response)
}

// take holds what the controller has signed against who this host is, and uses it from now on.
func (i *Identity) take(key *ecdsa.PrivateKey, response *syncv1.IssueResponse) error {
	chain, err := parse(response.GetCertificates())
	if err != nil {
		return fmt.Errorf("certificate from the controller: %w", err)
	}
	told, err := parse(response.GetAuthorities())
	if err != nil {
		return fmt.Errorf("authorities from the controller: %w", err)
	}
	if public, ok := chain[0].PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return errors.New("certificate from the controller: it is of another key")
	}
	if err := meshcert.IsHost(chain[0], i.config.Namespace, i.config.HostID); err != nil {
		return fmt.Errorf("certificate from the controller: %w; --namespace and --host-id have to be those of the pod", err)
	}
	old := i.now.Load()
	next := *old
	next.told = told
	next.pool = meshcert.Pool(append(old.listed[:len(old.listed):len(old.listed)], told...))
	next.renew = time.UnixMilli(response.GetRenewAtMs())
	// Should the clocks of both differ, the certificate's end counts.
	if latest := time.Now().Add(time.Until(chain[0].NotAfter) * 9 / 10); next.renew.After(latest) {
		next.renew = latest
	}
	if err := meshcert.Verify(chain, next.pool, x509.ExtKeyUsageClientAuth, time.Now()); err != nil {
		return fmt.Errorf("certificate from the controller: %w", err)
	}
	next.certificate = &tls.Certificate{Certificate: response.GetCertificates(), PrivateKey: key, Leaf: chain[0]}
	i.now.Store(&next)
	i.metrics.expiry.Set(float64(chain[0].NotAfter.Unix()))
	i.logger.Info("certificate from the controller", "until", chain[0].NotAfter, "renew_at", next.renew)
	return nil
}

func parse(encoded [][]byte) ([]*x509.Certificate, error) {
	const most = 16
	if len(encoded) == 0 || len(encoded) > most {
		return nil, fmt.Errorf("%d certificates, want 1 to %d", len(encoded), most)
	}
	certs := make([]*x509.Certificate, len(encoded))
	for n, der := range encoded {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		certs[n] = cert
	}
	return certs, nil
}
