"""The agents of the simulated world: those that never count, and weighted templates of those that may."""

from __future__ import annotations

# okhttp and Lavf are kept: real apps use them. Other lists may call curl, requests and Wget bots.
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "FooCrawler/1.0",
)
BOT_LIBRARIES = (
    "python-requests/2.32.3",
    "curl/8.5.0",
    "Wget/1.21.4",
    "Go-http-client/2.0",
    "Go-http-client/1.1",
    "python-httpx/0.27.0",
    "axios/1.7.2",
)
WATCHES = (
    "atc/1.0 watchOS/10.5 model/Watch6,18 hwp/t8301 build/21T576 (6; dt:233)",
    "atc/1.1 watchOS/11.0 model/Watch7,5 hwp/t8310 build/22R349 (6; dt:302)",
    "(null)/(null) watchOS/10.5 model/Watch6,7 hwp/t8301 build/21T576 (6; dt:233)",
)
KEPT_LIBRARIES = ("okhttp/4.12.0", "okhttp/5.0.0-alpha.14", "Lavf/60.16.100", "Lavf/58.76.100")
EXCLUDED_AGENTS = {  # the world's own label, from which truth takes the exclusion reason
    **dict.fromkeys(WATCHES, "watch_duplicate"),
    **dict.fromkeys(BOTS, "bot"),
    **dict.fromkeys(BOT_LIBRARIES, "bot_library"),
    "": "no_agent",
}
SYSTEMS = ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
_CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"
BROWSERS = (  # weight, template; {s} system, {n} a version number
    (6, _CHROME.format("{s}", "{n}")),
    (2, _CHROME.format("{s}", "{n}") + " Edg/{n}.0.0.0"),
    (3, "Mozilla/5.0 ({s}; rv:{n}.0) Gecko/20100101 Firefox/{n}.0"),
    (3, "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{m} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.{m} Mobile/15E148 Safari/604.1"),
)  # fmt: skip
APPS = (  # weight, template; {m} 0..9, {b} a build number, {n} 90..139
    (30, "AppleCoreMedia/1.0.0.21G{n} (iPhone; U; CPU OS 17_{m} like Mac OS X; {l})"),
    (20, "Podcasts/1{b}.1 CFNetwork/1568.{n}.1 Darwin/24.{m}.0"),
    (14, "Spotify/8.9.{n} Android/34 (SM-G99{m}B)"),
    (8, "Spotify/8.9.{n} iOS/17.{m} (iPhone15,3)"),
    (9, "Overcast/3.0 (+http://overcast.fm/; iOS podcast app)"),
    (5, "Overcast (+http://overcast.fm/; Apple Watch podcast app)"),
    (7, "Pocket Casts"),
    (4, "Shifty Jelly Pocket Casts, Android v7.{n}"),
    (5, "CastBox/11.{m}.{n} (Linux;Android 14)"),
    (5, "AntennaPod/3.{m}.1"),
    (4, "Podcast%20Addict/v5 - Dalvik/2.1.0 (Linux; U; Android 13; Pixel {m})"),
    (4, "PodcastAddict/v5 (+https://podcastaddict.com/; Android podcast app)"),
    (3, "Castro 2024.{m}/{b}"),
    (3, "iHeartRadio/10.{n}.0 (iOS 17.{m}; iPhone14,5)"),
    (2, "TuneIn Radio/32.{m}; iOS 17; iPhone"),
    (4, "AmazonMusic/24.{m}.{n} Dalvik/2.1.0 (Linux; U; Android 12; KFTRWI)"),
    (3, "AlexaMediaPlayer/2.1.{b}.0 (Linux;Android 7.1.2) ExoPlayerLib/1.5.9"),
    (2, "Linux UPnP/1.0 Sonos/78.1-{b}50 (ZPS{m})"),
    (2, "Downcast/2.11.{n} (iOS; 17.{m})"),
    (1, 'MyPod "beta" [{m}]/0.3 (100% {l})'),
)
