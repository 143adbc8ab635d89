package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// maxReviews under way; beyond it hosts try again.
	maxReviews = 32
	// reviewTimeout bounds one.
	reviewTimeout = 10 * time.Second
	// maxToken and maxRequest bound what is looked at, bytes: tokens of ServiceAccounts have about 1,200, requests 300.
	maxToken   = 16 << 10
	maxRequest = 16 << 10

	// podNameExtra and podUIDExtra are what the API server says of a token that is bound to a pod:
	// k8s.io/apiserver/pkg/authentication/serviceaccount, util.go.
	podNameExtra = "authentication.kubernetes.io/pod-name"
	podUIDExtra  = "authentication.kubernetes.io/pod-uid"
	// userPrefix precedes NAMESPACE:NAME of a ServiceAccount in a user's name.
	userPrefix = "system:serviceaccount:"
)

// Issue implements syncv1.IdentityServiceServer.
func (a *Authority) Issue(ctx context.Context, request *syncv1.IssueRequest) (*syncv1.IssueResponse, error) {
	response, host, err := a.issue(ctx, request)
	if err != nil {
		a.metrics.issued.WithLabelValues(status.Code(err).String()).Inc()
		a.logger.Warn("no certificate issued", "host", host.String(), "error", err)
		return nil, err
	}
	a.metrics.issued.WithLabelValues(codes.OK.String()).Inc()
	a.logger.Info("certificate issued", "host", host.ID, "namespace", host.Namespace, "renew_at", time.UnixMilli(response.GetRenewAtMs()))
	return response, nil
}

func (a *Authority) issue(ctx context.Context, request *syncv1.IssueRequest) (*syncv1.IssueResponse, meshcert.Host, error) {
	key, err := publicKey(request.GetCertificateRequest())
	if err != nil {
		return nil, meshcert.Host{}, status.Error(codes.InvalidArgument, err.Error())
	}
	host, err := a.review(ctx, request.GetToken())
	if err != nil {
		return nil, host, err
	}
	has, known := a.meshIn(host.Namespace)
	now := a.present.Load()
	switch {
	case !known || now == nil:
		return nil, host, status.Error(codes.Unavailable, "the controller does not know its namespaces yet: ask again")
	case !has:
		return nil, host, status.Errorf(codes.PermissionDenied,
			"namespace %s has no mesh: label it modelmesh-enabled=true", host.Namespace)
	}
	at := a.config.Now()
	cert, err := now.authorities.signer.sign(leaf{uri: host.URI(), key: key}, at)
	if err != nil {
		return nil, host, status.Error(codes.Internal, err.Error())
	}
	response := &syncv1.IssueResponse{Certificates: [][]byte{cert.Raw}, RenewAtMs: renewAt(cert, at).UnixMilli()}
	for _, trusted := range now.authorities.trusted() {
		response.Authorities = append(response.Authorities, trusted.Raw)
	}
	return response, host, nil
}

// publicKey is all that a request for a certificate is asked for.
func publicKey(der []byte) (*ecdsa.PublicKey, error) {
	if len(der) == 0 || len(der) > maxRequest {
		return nil, errors.New("the certificate request is missing or too large")
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, errors.New("the certificate request is not PKCS#10")
	}
	if err := request.CheckSignature(); err != nil {
		return nil, errors.New("the certificate request is not signed with its own key")
	}
	key, ok := request.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the key of the certificate request is not ECDSA: use P-256")
	}
	return key, nil
}

// review has the API server say which pod a token is of.
func (a *Authority) review(ctx context.Context, token string) (meshcert.Host, error) {
	if token == "" || len(token) > maxToken {
		return meshcert.Host{}, status.Error(codes.Unauthenticated, "the token is missing or too large: --token-file has to be a projected ServiceAccount token")
	}
	select {
	case a.reviews <- struct{}{}:
		defer func() { <-a.reviews }()
	default:
		return meshcert.Host{}, status.Error(codes.Unavailable, "many hosts ask for certificates at once: ask again")
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{meshcert.Audience}}}
	if err := a.config.Client.Create(ctx, review); err != nil {
		// The message of an API server that refuses the review is about this controller, not the token.
		return meshcert.Host{}, status.Errorf(codes.Unavailable, "the API server does not review tokens for the controller: %v", err)
	}
	return hostOf(review.Status)
}

// hostOf reads what the API server found.
func hostOf(reviewed authenticationv1.TokenReviewStatus) (meshcert.Host, error) {
	if !reviewed.Authenticated || !slices.Contains(reviewed.Audiences, meshcert.Audience) {
		return meshcert.Host{}, status.Errorf(codes.Unauthenticated,
			"the token is not one of a ServiceAccount of this cluster for audience %q, or has ended", meshcert.Audience)
	}
	account, ok := strings.CutPrefix(reviewed.User.Username, userPrefix)
	namespace, _, split := strings.Cut(account, ":")
	if !ok || !split || namespace == "" {
		return meshcert.Host{}, status.Error(codes.PermissionDenied, "the token is not of a ServiceAccount")
	}
	host := meshcert.Host{Namespace: namespace, ID: only(reviewed.User.Extra[podNameExtra])}
	if host.ID == "" || only(reviewed.User.Extra[podUIDExtra]) == "" {
		return meshcert.Host{Namespace: namespace}, status.Error(codes.PermissionDenied,
			"the token is not bound to a pod: use a projected volume, not a token Secret")
	}
	return host, nil
}

// only is the one value, or empty.
func only(values authenticationv1.ExtraValue) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}
