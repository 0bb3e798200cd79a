#!/bin/sh
# A step of any pipeline: goes on when the candidate passes, fails when it does not, and waits up to 30 minutes for
# enough calls. Arguments: model, baseline, candidate.
set -u
modelplane gate --url "${MODELPLANE_URL:-http://127.0.0.1:8090}" ${MODELPLANE_TOKEN_FILE:+--token-file "$MODELPLANE_TOKEN_FILE"} \
    --model-name "$1" --baseline "$2" --candidate "$3" --wait "${MODELPLANE_WAIT:-30m}"
status=$?
case $status in
    0) echo "promote $3" ;;
    1) echo "roll $3 back" ;;
    2 | 3) echo "not decided: promote $3 by hand, or wait longer" ;;
    *) echo "the backend gave no answer" ;;
esac
exit $status
