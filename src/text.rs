//! Cleans the text that clients choose, before it is stored and shown to an admin.
//!
//! Invisible characters can hide a part of a text, turn its order around, or make two texts look equal. So control,
//! format, zero-width, private-use and all other characters that show nothing are removed. They stay only inside an
//! emoji, where they are parts of one picture.

use std::sync::LazyLock;

use regex::Regex;

/// The pieces of a text that are kept. What lies between them is removed. The properties are those of the Unicode
/// Character Database (UAX #44 and UTS #51), which the `regex` crate holds. Characters that it does not know yet are
/// kept: next year's emoji are among them.
const PIECE: &str = r"(?x)
    (?:
        # The flags of England, Scotland and Wales. The tag characters of another sequence could hide a text.
          \u{1F3F4} \u{E0067}\u{E0062}
            (?: \u{E0065}\u{E006E}\u{E0067} | \u{E0073}\u{E0063}\u{E0074} | \u{E0077}\u{E006C}\u{E0073} ) \u{E007F}
        # An emoji, or several that are joined into one.
        | \p{Extended_Pictographic} [\u{FE0E}\u{FE0F}\p{Emoji_Modifier}]?
            (?: \u{200D} \p{Extended_Pictographic} [\u{FE0E}\u{FE0F}\p{Emoji_Modifier}]? )*
        # A keycap.
        | [0-9\#*] \u{FE0F} \u{20E3}
        # Any other visible character.
        | [^ \s \u{2800} \p{Cc} \p{Cf} \p{Co} \p{M} \p{Default_Ignorable_Code_Point} \p{Noncharacter_Code_Point} ]
    )
    # Its marks. No script puts more than six on one character, and a pile of them covers the lines above and below.
    [ \p{M} -- \p{Default_Ignorable_Code_Point} ]{0,6}
    # Or what looks blank.
    | [ \s \u{2800} \p{Cc} ]+
";

/// `None` would remove every text. It does not happen, because the pattern is constant and the tests use it.
static PIECES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(PIECE).ok());

/// The visible part of `text` with single spaces, cut to at most `max` characters. The cut never goes through an
/// emoji.
pub fn clean(text: &str, max: usize) -> String {
    // Most texts are plain ASCII, and do not need the pattern, which takes a few milliseconds to build.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        let characters = text.split_inclusive(|_| true);
        join(characters, max)
    } else {
        let pieces = PIECES.iter().flat_map(|pattern| pattern.find_iter(text));
        join(pieces.map(|piece| piece.as_str()), max)
    }
}

fn join<'t>(pieces: impl Iterator<Item = &'t str>, max: usize) -> String {
    let (mut joined, mut room, mut space) = (String::new(), max, "");
    for piece in pieces {
        if piece.starts_with(is_blank) {
            space = if joined.is_empty() { "" } else { " " };
            continue;
        }
        let Some(left) = room.checked_sub(space.len() + piece.chars().count()) else { break };
        joined.extend([space, piece]);
        (room, space) = (left, "");
    }
    joined
}

/// Whether a character looks like a space. U+2800 is the Braille pattern without dots.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '\u{2800}'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ENGLAND: &str = "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}";

    /// The characters that show nothing, as ranges of Unicode 16 (UnicodeData.txt: Cc, Cf, Co and noncharacters;
    /// DerivedCoreProperties.txt: Default_Ignorable_Code_Point). It is a second source beside the pattern.
    const INVISIBLE: &[(u32, u32)] = &[
        (0x0, 0x1F),
        (0x7F, 0x9F),
        (0xAD, 0xAD),
        (0x34F, 0x34F),
        (0x600, 0x605),
        (0x61C, 0x61C),
        (0x6DD, 0x6DD),
        (0x70F, 0x70F),
        (0x890, 0x891),
        (0x8E2, 0x8E2),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x200B, 0x200F),
        (0x2028, 0x202E),
        (0x2060, 0x206F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xE000, 0xF8FF),
        (0xFDD0, 0xFDEF),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFFB),
        (0xFFFE, 0xFFFF),
        (0x110BD, 0x110BD),
        (0x110CD, 0x110CD),
        (0x13430, 0x1343F),
        (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A),
        (0xE0000, 0xE0FFF),
        (0xF0000, 0x10FFFF),
    ];

    fn is_invisible(c: char) -> bool {
        INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(c)))
    }

    /// Whether the character at this place is invisible and not a part of an emoji.
    fn hides(text: &[char], at: usize) -> bool {
        let before = at.checked_sub(1).map(|at| text[at]);
        let after = text.get(at + 1).copied();
        let is_picture = |c: Option<char>| c.is_some_and(|c| u32::from(c) >= 0xA9 && !c.is_alphanumeric());
        match text[at] {
            '\u{200D}' => !(is_picture(before) && is_picture(after)),
            '\u{FE0E}' | '\u{FE0F}' => !(is_picture(before) || after == Some('\u{20E3}')),
            c => is_invisible(c),
        }
    }

    #[test]
    fn invisible_characters_are_removed() {
        for (first, last) in INVISIBLE {
            for c in (*first..=*last).filter_map(char::from_u32) {
                let cleaned = clean(&format!("é{c}b"), 100);
                let expected = if is_blank(c) { "é b" } else { "éb" };
                assert_eq!(cleaned, expected, "{:x}", u32::from(c));
                assert_eq!(clean(&c.to_string(), 100), "", "{:x}", u32::from(c));
            }
        }
    }

    #[test]
    fn text_in_any_script_and_emoji_are_kept() {
        let texts = [
            "Anna's phone",
            "Zoë",
            "Zoe\u{308}",
            "Việt",
            "телефон",
            "جهاز",
            "טֶלֶפוֹן",
            "फ़ोन",
            "โทรศัพท์",
            "ကြွော်",
            "電話",
            "전화",
            "☎\u{FE0E}",
            "❤\u{FE0F}",
            "❤\u{FE0F}\u{200D}🔥",
            "👩🏽\u{200D}💻",
            "👨\u{200D}👩\u{200D}👧\u{200D}👦",
            "🏳\u{FE0F}\u{200D}🌈",
            "🏴\u{200D}☠\u{FE0F}",
            "🧑🏿\u{200D}🤝\u{200D}🧑🏻",
            "👍🏾",
            "🇩🇪🇫🇷",
            "1\u{FE0F}\u{20E3}#\u{FE0F}\u{20E3}",
            ENGLAND,
            "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
            "🏴\u{E0067}\u{E0062}\u{E0077}\u{E006C}\u{E0073}\u{E007F}",
            // Not assigned yet.
            "\u{1FAFF}\u{378}",
        ];
        for text in texts {
            assert_eq!(clean(text, 100), text);
            assert_eq!(clean(&format!(" {text}\t {text}\u{2028}"), 100), format!("{text} {text}"));
        }
    }

    #[test]
    fn parts_of_emoji_are_removed_where_there_is_no_emoji() {
        let cases = [
            ("a\u{200D}b", "ab"),
            ("👩\u{200D}", "👩"),
            ("\u{200D}👩", "👩"),
            ("👩\u{200D}\u{200D}💻", "👩💻"),
            ("👩\u{200D}\u{200B}💻", "👩💻"),
            ("a\u{FE0F}", "a"),
            ("1\u{FE0F}", "1"),
            ("❤\u{FE0F}\u{FE0F}\u{FE0E}", "❤\u{FE0F}"),
            ("👩\u{20E3}\u{200D}🏽\u{20E3}", "👩\u{20E3}🏽\u{20E3}"),
            ("🏴\u{E0067}\u{E0062}", "🏴"),
            ("🏴\u{E0068}\u{E0069}\u{E007F}", "🏴"),
            ("a\u{E0068}\u{E0069}", "a"),
        ];
        for (text, cleaned) in cases {
            assert_eq!(clean(text, 100), cleaned, "{text:?}");
        }
    }

    #[test]
    fn a_flood_of_marks_is_cut() {
        let flood = "\u{301}".repeat(50);
        let kept = format!("e{}", "\u{301}".repeat(6));
        assert_eq!(clean(&format!("e{flood}"), 100), kept);
        assert_eq!(clean(&format!("e{}\u{200B}{flood}x", "\u{301}".repeat(6)), 100), format!("{kept}x"));
        assert_eq!(clean(&format!("{flood} {flood}x"), 100), "x");
    }

    #[test]
    fn the_cut_leaves_whole_emoji_and_no_space_at_the_end() {
        let family = "👨\u{200D}👩\u{200D}👧";
        assert_eq!(clean(&format!("{}{family}", "a".repeat(95)), 100), format!("{}{family}", "a".repeat(95)));
        assert_eq!(clean(&format!("{}{family}", "a".repeat(96)), 100), "a".repeat(96));
        assert_eq!(clean(&format!("{}{family}b", "a".repeat(96)), 100), "a".repeat(96));
        assert_eq!(clean(&format!("{} b", "é".repeat(99)), 100), "é".repeat(99));
        assert_eq!(clean(&format!("{} b", "a".repeat(99)), 100), "a".repeat(99));
    }

    /// Texts that are dense with characters of this module.
    fn texts() -> impl Strategy<Value = String> {
        let special = prop::sample::select(vec![
            "\u{200D}",
            "\u{FE0F}",
            "\u{FE0E}",
            "\u{20E3}",
            "\u{301}",
            "\u{202E}",
            "\u{200B}",
            "\u{2800}",
            "\u{AD}",
            "👩",
            "🏽",
            "💻",
            "❤",
            "🇩",
            "🏴",
            "\u{E0067}",
            "\u{E0062}",
            "\u{E007F}",
            ENGLAND,
            "1",
            "a",
            " ",
            "\n",
            "é",
            "\u{3164}",
        ]);
        let character = prop_oneof![special.prop_map(str::to_owned), any::<char>().prop_map(String::from)];
        prop::collection::vec(character, 0..60).prop_map(|characters| characters.concat())
    }

    proptest! {
        #[test]
        fn what_is_left_is_visible_bounded_and_stays_as_it_is(text in texts(), max in 0_usize..50) {
            let cleaned = clean(&text, max);
            prop_assert!(cleaned.chars().count() <= max);
            let characters: Vec<char> = cleaned.replace(ENGLAND, "").chars().collect();
            for at in 0..characters.len() {
                prop_assert!(!hides(&characters, at), "{:?}", cleaned);
            }
            prop_assert_eq!(cleaned.trim(), &cleaned);
            prop_assert!(!cleaned.contains("  "));
            prop_assert_eq!(clean(&cleaned, max), cleaned);
        }
    }
}
