{{- /* The pod of the operator, or of `helm test`: of .root, with the command run or check. */ -}}
{{- define "phone-migration-operator.pod" -}}
{{- $check := eq .command "check" }}
{{- with .root }}
serviceAccountName: {{ include "phone-migration-operator.serviceAccountName" . | toYaml }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | toYaml }}
{{- end }}
{{- if $check }}
restartPolicy: Never
{{- else }}
# A running call may take 10 s; then its outcome is written, again and again while the API
# server does not answer, for as long as this lasts. Less than this loses outcomes.
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with .Values.securityContext.runAsUser }}
  runAsUser: {{ int64 . }}
  {{- end }}
  {{- with .Values.securityContext.runAsGroup }}
  runAsGroup: {{ int64 . }}
  {{- end }}
  {{- with .Values.securityContext.fsGroup }}
  # Makes the mounted Secrets readable for this user and nobody else.
  fsGroup: {{ int64 . }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
containers:
  - name: {{ ternary "check" "operator" $check }}
    # Built from this repository and loaded into the cluster's nodes, or pushed to your
    # registry: set its name with the chart's image.repository, or `kustomize edit set image`.
    image: {{ include "phone-migration-operator.image" . | toYaml }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
      - {{ $.command }}
      - --cams-endpoint={{ .Values.cams.endpoint }}
      - --signature={{ .Values.cams.signature }}
      - --signature-validity={{ .Values.cams.signatureValidity }}
      - --code-digits={{ .Values.cams.codeDigits }}
      - --qps={{ .Values.cams.qps }}
      {{- include "phone-migration-operator.credentialsArgs" . | nindent 6 }}
      - --fingerprint-key-file=/var/run/secrets/fingerprint-key/key
      # What was submitted is recorded here. Danger: in another namespace the operator finds
      # nothing of it, and sends spent codes again.
      - --ledger-namespace=$(POD_NAMESPACE)
      {{- with .Values.watchNamespaces }}
      - --watch-namespaces={{ join "," . }}
      {{- end }}
      {{- if .Values.watchSecrets }}
      - --watch-secrets
      {{- end }}
      - --max-concurrent-reconciles={{ .Values.maxConcurrentReconciles }}
      - --listen={{ if contains ":" .Values.listenAddress }}[{{ .Values.listenAddress }}]{{ else }}{{ .Values.listenAddress }}{{ end }}:{{ .Values.port }}
      - --log-format={{ .Values.logFormat }}
      {{- with .Values.tracing.otlpEndpoint }}
      - --otlp-endpoint={{ . }}
      {{- end }}
      {{- with .Values.extraArgs }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    env:
      # Identity and namespace of the Lease, and namespace of the CodeLedgers. A container that
      # restarts in its pod is the same holder and goes on at once.
      - name: POD_NAME
        valueFrom:
          fieldRef:
            fieldPath: metadata.name
      - name: POD_NAMESPACE
        valueFrom:
          fieldRef:
            fieldPath: metadata.namespace
      - name: RUST_LOG
        value: {{ .Values.logLevel | toYaml }}
      {{- if include "phone-migration-operator.projectsToken" . }}
      # Who the operator is to RAM, and the token that proves it.
      - name: ALIBABA_CLOUD_ROLE_ARN
        value: {{ .Values.credentials.rrsa.roleArn }}
      - name: ALIBABA_CLOUD_OIDC_PROVIDER_ARN
        value: {{ .Values.credentials.rrsa.oidcProviderArn }}
      - name: ALIBABA_CLOUD_OIDC_TOKEN_FILE
        value: /var/run/secrets/alibaba-cloud/token
      {{- end }}
      {{- with .Values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- if not $check }}
    ports:
      - name: http
        containerPort: {{ .Values.port }}
    # Alive means that the core tasks run. It does not depend on CAMS: a restart mends no
    # outage, and one in the middle of a call leaves its outcome unknown.
    livenessProbe:
      httpGet:
        path: /livez
        port: http
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet:
        path: /readyz
        port: http
      periodSeconds: 5
      timeoutSeconds: 5
    {{- end }}
    {{- with .Values.resources }}
    # No limit on CPU: a throttled process sends its calls late, and late calls meet the
    # quota of the next second.
    resources:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    volumeMounts:
      {{- $mounts := or (eq .Values.credentials.source "secret") (include "phone-migration-operator.projectsToken" .) }}
      # Whole directories, not subPath: the kubelet then updates the files in place, and the
      # operator reads changed credentials without a restart.
      {{- if $mounts }}
      - name: credentials
        mountPath: /var/run/secrets/alibaba-cloud
        readOnly: true
      {{- end }}
      - name: fingerprint-key
        mountPath: /var/run/secrets/fingerprint-key
        readOnly: true
      {{- with .Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  {{- if eq .Values.credentials.source "secret" }}
  # The pod waits until this Secret exists. Keys: ALIBABA_CLOUD_ACCESS_KEY_ID,
  # ALIBABA_CLOUD_ACCESS_KEY_SECRET and, for temporary keys, ALIBABA_CLOUD_SECURITY_TOKEN.
  - name: credentials
    secret:
      secretName: {{ .Values.credentials.existingSecret | toYaml }}
      defaultMode: 288 # 0440, in a form that YAML 1.1 and 1.2 read alike
  {{- else if $mounts }}
  # A token for STS and nobody else. The kubelet renews it long before it expires.
  - name: credentials
    projected:
      defaultMode: 288 # 0440, in a form that YAML 1.1 and 1.2 read alike
      sources:
        - serviceAccountToken:
            audience: sts.aliyuncs.com
            expirationSeconds: 3600
            path: token
  {{- end }}
  # The pod waits for this one, too. The chart makes it; otherwise make it once, and keep it:
  #   head -c 32 /dev/urandom | kubectl --namespace {{ .Release.Namespace }} create secret \
  #     generic {{ include "phone-migration-operator.fingerprintKeySecret" . }} --from-file=key=/dev/stdin
  - name: fingerprint-key
    secret:
      secretName: {{ include "phone-migration-operator.fingerprintKeySecret" . | toYaml }}
      defaultMode: 288 # 0440, in a form that YAML 1.1 and 1.2 read alike
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .Values.topologySpreadConstraints | nindent 2 }}
{{- else if gt (int .Values.replicaCount) 1 }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "phone-migration-operator.selectorLabels" $.root | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}
