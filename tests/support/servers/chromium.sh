#!/bin/sh
# Starts $CHROMIUM without the pop-ups of the address bar and without a spare renderer, which no test uses.
# Each of the two starts a renderer process for each browser context. Together they take four fifths of the CPU time
# of a small test.
# Chromium reads only its last --disable-features, so our features are added to Playwright's.
for argument do
  shift
  case $argument in
    --disable-features=*)
      argument=$argument,WebUIOmniboxPopup,WebUIOmniboxAimPopup,SpareRendererForSitePerProcess ;;
  esac
  set -- "$@" "$argument"
done
exec "$CHROMIUM" "$@"
