//! Published pairs of keys for Standard Webhooks `v1a`, private and public. They open nothing.

/// The first is the example of Svix's documentation, seed and public key; the others are of RFC 8032, section 7.1, tests 1 and
/// 2, and hold the seed alone.
pub(crate) const PAIRS: [[&str; 2]; 3] = [
    [
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
    ],
    ["whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="],
    ["whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=", "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="],
];

/// Pairs for ECDSA over P-256, private (PKCS #8) and public (SubjectPublicKeyInfo), in base64. They were made for these tests.
pub(crate) const P256: [[&str; 2]; 3] = [
    [
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgC7Cm3P+PeBBm6GdEwg0IMuZg4SLruAK17wLFM1bEe2ahRANCAASyCTxEjeNXX1RNE9saVMCyGFLClvk1tWHMlH4zeuUhFMXKwyf/t9JypIAJJButQNTmtI+45I6qmAthavAgGtO/",
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsgk8RI3jV19UTRPbGlTAshhSwpb5NbVhzJR+M3rlIRTFysMn/7fScqSACSQbrUDU5rSPuOSOqpgLYWrwIBrTvw==",
    ],
    [
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgaoi6qcHeHzqwjEz3s/4wM7UAptHgMQUZwNuBjW+TY32hRANCAASxqwE0G8doijCfLyVChlgAArTs2reHgzTlFLfbWxzJmIFxvFhSIoOb+LX1WSGaP7aMj6q3RLFE8X3L+xQWBHH9",
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsasBNBvHaIowny8lQoZYAAK07Nq3h4M05RS321scyZiBcbxYUiKDm/i19Vkhmj+2jI+qt0SxRPF9y/sUFgRx/Q==",
    ],
    [
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpeRwjqOz4r4ssS95v9m2EKoSSeCcx8hpshZo99k9gtOhRANCAARR+XXlL6bBOEf6SdIJxTwswFsG2XuVJ4cwljPf9Vq7NeVcoJkuAl3G+NHBEI/B+2kHQlS7dGasizE0L2zAvo/b",
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUfl15S+mwThH+knSCcU8LMBbBtl7lSeHMJYz3/VauzXlXKCZLgJdxvjRwRCPwftpB0JUu3RmrIsxNC9swL6P2w==",
    ],
];

/// Pairs for ECDSA over P-521, likewise.
pub(crate) const P521: [[&str; 2]; 3] = [
    [
        "MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIA7615zJZqCkQG+mfliNL9QoHaiG+ci7VZ1Q06NEBIVfeedZwEzexoEAQ7ugtMKUFcrHpLvW8rYIBRU8TgwQ1FYTehgYkDgYYABAFtK3cxIFceiV6g36NkQLJdKhqQ/wrLhtyQYtMnBANh3twjc5gjzseAJbcTP/ZwSBxAYE175ht+dqEcW1kj3y4VBgFAj6UJScFUzSJiN/uL0wpMI+6utNq04OCyOGtFnHVccf4B3PsWmUAvfae1dmFdb1K8OX7pIv8ERrPI9TTQdyNpAg==",
        "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBbSt3MSBXHoleoN+jZECyXSoakP8Ky4bckGLTJwQDYd7cI3OYI87HgCW3Ez/2cEgcQGBNe+YbfnahHFtZI98uFQYBQI+lCUnBVM0iYjf7i9MKTCPurrTatODgsjhrRZx1XHH+Adz7FplAL32ntXZhXW9SvDl+6SL/BEazyPU00HcjaQI=",
    ],
    [
        "MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIAODN+AVuZ8L89eZSOSwp6ovx7kdjaL9N3yec5tbr5QwcvpwavkCsMNhzH98tZgJWr1pVZwbtsKts0cNOJXLet9yKhgYkDgYYABAHRVfjNG1yWCQVh7664/z3u3tcO/QsxkrifpeFhLeKkP9Ppb92l0XMbNdLgaYmUtkRJcQcXpvlwIA41pSxYaN89SgHlrX2rTpK3zLI/zAK8M/jKvhze63F8raWCNy2Z1CRIhy9rGLUpnkVuwS2NaDD6JsLLuXhCJoCrZysWp059A4leDQ==",
        "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQB0VX4zRtclgkFYe+uuP897t7XDv0LMZK4n6XhYS3ipD/T6W/dpdFzGzXS4GmJlLZESXEHF6b5cCAONaUsWGjfPUoB5a19q06St8yyP8wCvDP4yr4c3utxfK2lgjctmdQkSIcvaxi1KZ5FbsEtjWgw+ibCy7l4QiaAq2crFqdOfQOJXg0=",
    ],
    [
        "MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIBQpHVW+CTJV4kS5o3nffk6W8UD/5lqGMYt3TfDRqTEgZGk2j9RRJzYOvaQjCZHweu608DGrOSyiIURBzMBV7F22ihgYkDgYYABACs1Z4IKV/qOdqxiootix6GixtgyPtiJGunqktyHkXwxLiwD1Qmia1fHMDly7Z7E0ZdVoiS9GBZo6CXHzpLDBt7rwA07lYi6/d8w3B4ZBcUyNpCTDMWUYuDWhfy884R3/fDMfW4Dt/ns3RKzJDXCDbqT15kXJuc362rNRmcm72FtI8T5g==",
        "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQArNWeCClf6jnasYqKLYsehosbYMj7YiRrp6pLch5F8MS4sA9UJomtXxzA5cu2exNGXVaIkvRgWaOglx86Swwbe68ANO5WIuv3fMNweGQXFMjaQkwzFlGLg1oX8vPOEd/3wzH1uA7f57N0SsyQ1wg26k9eZFybnN+tqzUZnJu9hbSPE+Y=",
    ],
];

/// Pairs for RSA, likewise.
pub(crate) const RSA: [[&str; 2]; 3] = [
    [
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC6uTEKicB2ysDWd3ETZGsbCruYZPjZgKNHO19JOuId8Yqe9Ud8iXuZfUGfWetIXUSjSkUkkZoFMA7SkGFSkTrpHTpbro2MyZeREqu4fiUvYAMCkjsRtoOTHsq+AJ/DVnnfZjKLm3y2LYSlttbu50C0LXSg4ZKAaqy9mOSHPI8zvcQCaP2i+SOAAcDBAPPkH4i9RwOL7QytCMrYh79RxzYs9N+PoqLSOUPSvyhXZgNbfMIo6jJue1JABTIjlIo4Fp76T5SHwMLIyYsASUaGnxKoWnNWvIsz+RTtjTbN8Ebc38wBLvyOkx8+E49AO+6AlNyUuBjOgZPUClwkwa0/p2EXAgMBAAECggEAHTZN2tU0PCF6S9NB6IPEUeW69ZuOZxC9+q3qOV2x9HdOdZHwDibAJII5GwIJUjftPhKngJIa44biOsUFxNIdwkylTaSgVo9PXA3suZ9al+/QaL2R6jKAoSqnE1SrqfbEeFPXwomf2CyE3Rwewh+Buu6FmYnQzrBhuAPMdO/fg3t/Q4MzYiFfkSu/8TcXLUDkwcr5a4jtTNmzjRn0DBGDM14p/5H3jPpf0qNoJXG2zFVmrb18vYtp6fblYCdx7aeWYeRozFlQ9rjcKHGz5D/DZN2c/hRO8JmJTuortiMBalpti92E2OOUnZk0vulHTKaZWrw4m58Hj2YgPvJVu6T22QKBgQDnMeVhGU3AVTQ6EQN42kutDzYgsl7IgohN/HqRp4c5gwvmURcU+OOT7NtTMJMPb2aJPXgSo0t2aQ+iGIafGW7OMgvDpfRfrsLtUEWd1hzzDKROCwznTnRWOtIiM4Ms0ABc8MPdOjW2EAHNgZ3vGdt58H9xijGDp3UhHslEkzwaQwKBgQDOwdI228vajVHhWSZLQ/O3qJRjjHhMXHaj49Q400irUemjfB4qOhBUg4JWN25zCN7K2xzFQgHbDmTDU6qq2U5A2l9DiuGAo2GA6p5N4YeZtmcGUVJIg85A/xjLvPB/A10gdOOmzCCM7hri+XeEKNSM+rjbZ5O5BiogGw3W9YJCnQKBgHbTumWRr9iu8kz1+abf7A1iyBs+EmFUVeJfZk/+nw38QN17yDVLRwz8rC2xxaQlSbo4EcLikyKlFRfnKyoS1FS+fDVu0o9rL1zx6RYaun5hfQFvxI4OUNURHnfdqgoaTlV2mfTWukx9JbAOcrI1xAyEg7xDnvdf1l/ThvbsBfQpAoGBAK5tM6RWT6eEm7RKWpUasayaiv1kz0RUqT5ggXSjQuZNh5cFqgkjzQ0PmVCVGRfxPsvSiHYd1qTwgq+KkSvrgioSUFYR/2Zf720sAftgLd7O1CGvT4Sftcx9qXSQZDAzLUipdDkOctOSOJqNrXeQXqjFCFkJC8YHXliRml5j5s29AoGALrWJ+4HMJnsG77z1gQdTkGELDVKvf6WfB3BEr6lHU9ZeHTooeTLwxMTL9Yc5bnBpzqhBgf4hEd8/AsagguZ+N4omAS2oFVo0BgHHJOTy5bEoQPIyrACis9BQeycDsJ9bhybsehdgGfv3XeMb1ktNPvR+pIAHy9qwLuV9cA4Vf78=",
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAurkxConAdsrA1ndxE2RrGwq7mGT42YCjRztfSTriHfGKnvVHfIl7mX1Bn1nrSF1Eo0pFJJGaBTAO0pBhUpE66R06W66NjMmXkRKruH4lL2ADApI7EbaDkx7KvgCfw1Z532Yyi5t8ti2EpbbW7udAtC10oOGSgGqsvZjkhzyPM73EAmj9ovkjgAHAwQDz5B+IvUcDi+0MrQjK2Ie/Ucc2LPTfj6Ki0jlD0r8oV2YDW3zCKOoybntSQAUyI5SKOBae+k+Uh8DCyMmLAElGhp8SqFpzVryLM/kU7Y02zfBG3N/MAS78jpMfPhOPQDvugJTclLgYzoGT1ApcJMGtP6dhFwIDAQAB",
    ],
    [
        "MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQDi3BaIfXSEw02AdExCtk/bzCxm+ULO0MEJstFBA8037exTSDX8YpCuLdsWu5mGyvIXzLo7CvaiePHv+RJvB3WbaiOGY+uT5OCPK6VeFTh3q3GpVfVeJ0J8nmdr0wqR0aYCOiGp43jNI949J09zMujhU6KZw/LtAX4F9O9VX6AsrNrFKb5Nq3Z4io1vqNBWkFPa6QwcRyangAoFF40kyVve5wV9EWDwLHyDFP0aK/nnA4DITndDV/1Egfr3Qt02VyxL7Z1mCNRaKgzG0Qybllxh7DXVuHkC3HeIRRgeE0OcjdhwOVTL1YUWuKxOI26EDoKOOsrvXOWMeQMnCbzsjbptAgMBAAECggEAEVJBzoWaXC8HpPIcRtq3NxPRjxeN7uRtsiEgYjuuqLbRR3GZHPkPTXFMYWG3tkeaxk+YJ5Jtzu13oZLtrKMP6yrROr1jMG1hFPq9kLUDlPrhkzma4hJoJ0OL/NBbZf4GfsnepfirkamLr4p9FzwQ9Rq8QfZ+FEkRIit3tlfLudALE99gTJmhS4AHYpF71cT7/S4a2kOtVbiam0OhODfv/Q5amS3ZAExLzKjnTF7DnKIEvHW1869D3pcYkjuiDigjcG+6+7PuW1O62TOZMTPU9sYmoMiUO3HS00g13WgvqWbfA/jg82ErrhP9rpwUThkfJ+Ubc2nRJa0YO6soiKTm+QKBgQD45oAndoHKrW+D1Kiypy6YY3YcXmXNtLHNqHi2Ee/mtTLKSeBbifb6EE8OqfyVZVmUp9EeKSCODIMynrfLlcM/TjE/W1MkSRFX9xm1T6cfyn1TgkFO3qoRbMXC1TVb4qjBI4QYhvLwKAf1AtT+DFh6zAtafZe8eNMDtwmHua9FOQKBgQDpVKTUwgu+XcXotXyXztQrB4pU+yoAlEPkIE7RfOeKqK/PkPqacSV0AaXv8SSwNQcuSmRwDHkntoyzU/DxgETaaXllBArAOXCxQDGpSmPUhcbvcYHQSDO7dUS40ITdyKlPg+6V27PdjdCC6Odqhzu6YNgnzx56c4OWwDZb19Qy1QKBgQDZew6fbL0cC09VMYv2Dn54SO/6+cCabTivKnXPIP0t6UXn24Vedr6G4ZkyhvVc1KHhcoEWiXkYpXY91NFj4ggoWHpPkcyj9/RfmFmuQ1sUPColvbqy33xanWBvTTzCfNpXaGETzVaY4WGShFb3ZHIrWf7RosvisvAuXtDE90pegQKBgQCy2ssuuz+9QKw/4T4ML+K6ySDkW1Kq9vvDlnBUbGYgB4YcmYk/cZPABLNp5XK2Dy/d7/BlY2pLYscffyymMiiVM1x2bk6/Ykhb1lU662bytUj0qhFT0sS04QM4l74BM5t09DCidrK9FcPLVTRumBLUnv+SJFW8j2dC2zvP0vU5sQKBgQDmw0DuB9K8OUswy08q3LTFXWNkaaG9tEu9+lrIFtEXX+JckAVc3jXZ78TmsEpbMpWAfT/MmV3PCGtkUgxpRBxZD953ZzakL896rNv8tOMxiT1KXjJQGUPEulQUY79ammaubi+WfFXChFbsKFaL+rWZpY75RIoTGIInvHRXNLCVnQ==",
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA4twWiH10hMNNgHRMQrZP28wsZvlCztDBCbLRQQPNN+3sU0g1/GKQri3bFruZhsryF8y6Owr2onjx7/kSbwd1m2ojhmPrk+TgjyulXhU4d6txqVX1XidCfJ5na9MKkdGmAjohqeN4zSPePSdPczLo4VOimcPy7QF+BfTvVV+gLKzaxSm+Tat2eIqNb6jQVpBT2ukMHEcmp4AKBReNJMlb3ucFfRFg8Cx8gxT9Giv55wOAyE53Q1f9RIH690LdNlcsS+2dZgjUWioMxtEMm5ZcYew11bh5Atx3iEUYHhNDnI3YcDlUy9WFFrisTiNuhA6CjjrK71zljHkDJwm87I26bQIDAQAB",
    ],
    [
        "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDCTZuBktNjQT40DVGKoTqa2Vp3OfOqARP5AXZdsJcG4XBSb52uzpp+bWwiotigGlWh/Gs9UQrMHYIy0P7hkOBe4TMdCcH0pkRrUe0kWBh4iyj57FsJyFt8nVfy0H2EeiCsTyVaWIwCHYpmn80MKAxZ19CjHftxcEjtopnLnjGhv2AwkIRAFo7QYCEX2+Zc7pPwxX+qRq0+XOayaPwPz4GMxOe+Gp4ETeuO6b73P8ElByp+/p/tNlheXQpcJKnEnwbcIUzbEQ0HlkYkhEqS+aGNhB5nv9qKu2V5JpsL5diaWPn/mK10Z0qDla/WujsAXoKrMZxzXhQ8cC+kvZ6FUIyTAgMBAAECggEAEcQXgEJ/kjy98PPNd+KEFvKMGLNeJIuSsEWXoBDBzmmV4+5muZFp2OjXvAGt0v3KxKlC2PQXC6YgaIBpkxBfI5htxwLvDsKWe5rzFvajI3/TOv7cgsl6FqvVsH2rFw40/JcEBahrrNSB+h40bnR0T1Fct1LKJzYqxOewLkkEUBNPGqAsaLyiLhjIGkaun9TzKRpogpqyOOZEmCtuZfXsax3nJ4h271HTa+n0wOH1jTvP+OEf1jmg1PaN9GGbJFHx51+5MxWrRzHQwlV1IPSigWOQcjXYHJmmQ5U44H8GxYk4QZ6sZgK1jxkYP4zEJsamuiXcgU6pH+9l3Q8Int65WQKBgQDi5BswZa/QrWgyydfbrMRl9OuKNZ4oxVFuQvd93IQybysNLCIOGQkBM/SDQJS9vYERTeJgp+J9ifXTsPgtU0+CqhMrW9/eA8jJeeHhUZGZQJmLtiqh3RMqaP/QwaN5TrFXbXQ4I9okVl2KxbfDsYIHdpdQr9mdvv7FCaCxVgkvjwKBgQDbOzOJC4AfaQEmcCF7H23ZtOyPH56y8T3RVXQWxQucFVeROkfN6rIQqK4lIpgcqJ2OzWi3URztVMriwKrGuUrOt1yHQLmbCMTCc9P5/d/J9HOsLe6b5p1ipDsprza2TxZOY2wvvDfz7jEYYRGS2rXpNQE57XLJSW3O1sU/abiQvQKBgQCDvnvjIEh0XRxR0U3bqnfn080o1XVeqyRbZ9sZZAAG4PIYlfW4ReUqo6ZoyAkWG4FkMNsv0Iv85SyunOWeO+/BKUw0MwbMfVoLUxBLqvdmC1KdA0vB7QKB77IK30Uy3PSwlUeUiYzS6KssNx47LUkZWE0IdvNfW1XHx41dK13uFQKBgQCEa9QLOZkgX+rD7wMqPae60t/4656Oc81lPnqqrkb+9p04Kb3pkZQRH/Jgl+7NkMPq2AQihqo0aP1LzhjZhF69UmBfiicSkE9ZLWGjJUgh0rh0DiKMpNX4GT9rRFyF7muI2eElTEl33C5njWpyDA3JWazt8pFdKC9durjWPuOu+QKBgAFpzmfNLrt9+MzPbkHRMRKpygZhtOa2wsnyyP5oIeaLzMnw3Qyp1FWA+PxYXiltUYwwEa+4YfEUCAj3ReLBHS/uSLeu6y8eCcQjlr5hyewO/NlO+WGDiXntjLXy6uOAIOLllBAv993dd3/RiBDmKBq3/UxbYmIX1xlmTyiu/x0m",
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwk2bgZLTY0E+NA1RiqE6mtladznzqgET+QF2XbCXBuFwUm+drs6afm1sIqLYoBpVofxrPVEKzB2CMtD+4ZDgXuEzHQnB9KZEa1HtJFgYeIso+exbCchbfJ1X8tB9hHogrE8lWliMAh2KZp/NDCgMWdfQox37cXBI7aKZy54xob9gMJCEQBaO0GAhF9vmXO6T8MV/qkatPlzmsmj8D8+BjMTnvhqeBE3rjum+9z/BJQcqfv6f7TZYXl0KXCSpxJ8G3CFM2xENB5ZGJIRKkvmhjYQeZ7/airtleSabC+XYmlj5/5itdGdKg5Wv1ro7AF6CqzGcc14UPHAvpL2ehVCMkwIDAQAB",
    ],
];

/// The pairs of a scheme, if its sender has private keys. Those of Ed25519 are as Standard Webhooks writes them.
fn of(scheme: &str) -> Option<&'static [[&'static str; 2]; 3]> {
    match scheme {
        "standard-webhooks-v1a" | "discord-events" | "discord-interactions" | "fal" | "telnyx" => Some(&PAIRS),
        "plaid" | "sendgrid" => Some(&P256),
        "truelayer" => Some(&P521),
        "aws-sns" | "aws-sns-v2" | "fireblocks-v1" | "fireblocks-v2" | "google-pubsub" | "kick" | "paddle-classic"
        | "paypal" | "shipstation" | "wise" => Some(&RSA),
        _ => None,
    }
}

pub(crate) const V1A: &str = "standard-webhooks-v1a";

/// The sender's secret: the private key of this number, or `otherwise` in a scheme with a shared secret.
pub(crate) fn of_sender<'t>(scheme: &str, number: usize, otherwise: &'t str) -> &'t str {
    of(scheme).map_or(otherwise, |pairs| pairs[number][0])
}

/// The receiver's secret.
pub(crate) fn of_receiver(scheme: &str, number: usize, otherwise: &str) -> String {
    let Some(pairs) = of(scheme) else { return otherwise.to_owned() };
    let public = pairs[number][1];
    let bytes = || data_encoding::BASE64.decode(public.trim_start_matches("whpk_").as_bytes()).expect("it is base64");
    match scheme {
        "discord-events" | "discord-interactions" => data_encoding::HEXLOWER.encode(&bytes()),
        "fal" | "telnyx" => public.trim_start_matches("whpk_").to_owned(),
        _ => public.to_owned(),
    }
}
